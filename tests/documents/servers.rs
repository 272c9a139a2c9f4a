//! What pages show for nginx and Apache is read by these themselves: with the modules that Debian has, and with
//! files where it names some.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::page::{self, Block};

/// In the order of Apache's own: who comes later may need who came before.
const APACHE_MODULES: [&str; 13] = [
    "mpm_event",
    "authn_core",
    "authz_core",
    "authz_host",
    "authz_user",
    "alias",
    "dir",
    "env",
    "setenvif",
    "proxy",
    "proxy_http",
    "auth_openidc",
    "auth_tkt",
];

/// Where Debian puts them. Some are part of the program.
const APACHE_FOLDER: &str = "/usr/lib/apache2/modules";

#[test]
fn nginx_can_read_what_is_meant_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = crate::stage::certificate(folder.path());
    let [at, cert, key] = [folder.path(), &cert, &key].map(|path| path.display().to_string());
    for (path, block) in of_language("nginx") {
        let lines = block.text.lines().map(|line| {
            // What a page calls its files is the reader's; here they have to be there.
            match line.split_whitespace().next() {
                Some("ssl_certificate") => format!("ssl_certificate {cert};\n"),
                Some("ssl_certificate_key") => format!("ssl_certificate_key {key};\n"),
                _ => format!("{}\n", line.replace("/var/cache/nginx", &at)),
            }
        });
        let text: String = lines.collect();
        let is_location = text.trim_start().starts_with("location ");
        let text = if is_location { format!("server {{ listen 127.0.0.1:1;\n{text}}}") } else { text };
        let whole = format!(
            "pid {at}/pid;\nevents {{}}\nhttp {{\naccess_log off;\nssl_certificate {cert};\n\
             ssl_certificate_key {key};\n{text}\n}}\n"
        );
        let mut nginx = Command::new("/usr/sbin/nginx");
        nginx.args(["-t", "-q", "-e", "stderr", "-p", &at, "-c"]);
        assert_is_read(&path, nginx, folder.path(), &whole);
    }
}

#[test]
fn apache_can_read_what_is_meant_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().display();
    let modules = APACHE_MODULES.iter().filter_map(|name| {
        let file = format!("{APACHE_FOLDER}/mod_{name}.so");
        Path::new(&file).exists().then(|| format!("LoadModule {name}_module {file}\n"))
    });
    let top = format!(
        "ServerRoot {at}\nServerName site.test\nDefaultRuntimeDir {at}\nPidFile {at}/pid\nErrorLog /dev/stderr\n{}",
        modules.collect::<String>()
    );
    for (path, block) in of_language("apache") {
        let whole = top.clone() + &block.text.replace("/srv/", &format!("{at}/"));
        let mut apache = Command::new("/usr/sbin/apache2");
        apache.args(["-t", "-f"]);
        assert_is_read(&path, apache, folder.path(), &whole);
    }
}

/// The blocks of a language that are not marked as something less, and where each stands.
fn of_language(language: &str) -> Vec<(String, Block)> {
    let mut found = Vec::new();
    for page in page::all() {
        let own = page.blocks.into_iter().filter(|block| block.language == language);
        let own = own.filter(|block| block.mark("skip").is_none());
        found.extend(own.map(|block| (format!("{}:{}", page.path, block.line), block)));
    }
    assert!(!found.is_empty(), "no block of {language}");
    found
}

/// Makes sure that `server`, whose last argument is to be the file, can read `text`.
fn assert_is_read(at: &str, mut server: Command, folder: &Path, text: &str) {
    let file = folder.join("server.conf");
    fs::write(&file, text).expect("writes a file");
    let read = server.arg(&file).stdin(Stdio::null()).output().expect("is there: see tests/run");
    assert!(read.status.success(), "{at}: {}\n{text}", String::from_utf8_lossy(&read.stderr));
}
