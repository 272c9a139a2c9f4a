//! Whatever is asked for, a redirect stays on the site in the eyes of a browser.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::domain::host::{HostPattern, Origin};
use tollgate::domain::return_to::ReturnTo;
use url::Url;

const SITES: [(&str, &[&str]); 3] = [
    ("https://site.test", &["site.test"]),
    ("http://site.test:8080", &["*"]),
    ("https://a.pages.test", &["site.test", "*.pages.test"]),
];

fuzz_target!(|input: &str| {
    for (origin, hosts) in SITES {
        let base = Url::parse(origin).expect("an origin");
        let origin = Origin::parse(origin).expect("an origin");
        let hosts: Vec<HostPattern> = hosts.iter().filter_map(|host| HostPattern::parse(host)).collect();
        let target = ReturnTo::parse(input, &origin, &hosts);
        assert!(target.as_str().bytes().all(|byte| byte.is_ascii_graphic()), "{input:?}: {target}");

        for location in [target.as_str(), &target.absolute(&origin)] {
            let reached = base.join(location).expect("a Location");
            let host = reached.host_str().expect("a host");
            let named = hosts.iter().any(|own| *own != HostPattern::Any && own.matches(host));
            assert!(host == origin.host() || named, "{input:?}: off to {reached}");
            assert_eq!(reached.scheme(), base.scheme(), "{input:?}: {reached}");
            assert_eq!(reached.port(), base.port(), "{input:?}: {reached}");
            assert!(reached.username().is_empty() && reached.password().is_none(), "{input:?}: {reached}");
        }
        assert_eq!(ReturnTo::parse(target.as_str(), &origin, &hosts), target, "{input:?}: it proves itself");
    }
});
