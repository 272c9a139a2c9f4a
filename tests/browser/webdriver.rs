//! A browser under remote control: Chromium through chromedriver, by as much of their protocol
//! (<https://www.w3.org/TR/webdriver2/>) as the walks need. It is JSON over HTTP, and a client
//! library would bring more crates than this file has functions.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

const CHROMIUM: &str = "/usr/bin/chromium";
const CHROMEDRIVER: &str = "/usr/bin/chromedriver";

/// What looks pages over for those who do not see them, or have no pointer.
const AXE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/axe-core/package/axe.min.js");

/// The key under which the protocol hands out elements (§12.2 of the protocol).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Longer than any command takes, page loads included.
const PATIENCE: Duration = Duration::from_mins(1);

/// Looks at a page that does not come: minutes on a busy machine.
const HANG_GUARD: usize = 5000;

/// One browser with a profile of its own. It is closed when it is dropped.
pub(crate) struct Browser {
    driver: Driver,
    session: String,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser that no walk has used before.
    pub(crate) fn start() -> Self {
        Self::start_with(&[], &json!({}))
    }

    /// Starts one that keeps no third-party cookies but partitioned ones, takes any certificate, and finds
    /// hosts by these rules.
    pub(crate) fn start_strict(resolver_rules: &str) -> Self {
        // Both ways to say it, the person's and the one that goes further.
        let strict = ["--test-third-party-cookie-phaseout", resolver_rules];
        Self::start_with(
            &strict,
            &json!({"profile.cookie_controls_mode": 1, "profile.block_third_party_cookies": true}),
        )
    }

    /// Starts one that is told more on its command line, and has other preferences.
    pub(crate) fn start_with(more: &[&str], preferences: &Value) -> Self {
        for program in [CHROMIUM, CHROMEDRIVER] {
            assert!(Path::new(program).exists(), "{program} is missing: `tests/run` installs it");
        }
        let profile = TempDir::new().unwrap();
        let driver = Driver::start();
        let data_dir = format!("--user-data-dir={}", profile.path().display());
        let mut arguments = vec![
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=900,1000",
            &data_dir,
        ];
        arguments.extend(more);
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "acceptInsecureCerts": true,
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"binary": CHROMIUM, "args": arguments, "prefs": preferences},
        }}});
        let answer = driver.call("POST", "/session", &capabilities).unwrap();
        let session = format!("/session/{}", answer["sessionId"].as_str().unwrap());
        let browser = Self { driver, session, _profile: profile };
        // An element that is not there yet is waited for.
        browser.command("/timeouts", &json!({"implicit": 10_000, "pageLoad": 30_000, "script": 30_000}));
        browser
    }

    /// Types `url` into the address bar.
    pub(crate) fn open(&self, url: &str) {
        self.command("/url", &json!({"url": url}));
    }

    /// What the address bar shows.
    pub(crate) fn url(&self) -> url::Url {
        let url = self.driver.call("GET", &format!("{}/url", self.session), &Value::Null).unwrap();
        url.as_str().unwrap().parse().unwrap()
    }

    /// Clicks the first element that `css` selects, and waits for the page that it leads to.
    pub(crate) fn click(&self, css: &str) {
        self.leave_by("css selector", css);
    }

    /// Clicks the first element that `css` selects, and leaves the rest to happen.
    pub(crate) fn press(&self, css: &str) {
        self.on_element("css selector", css, "click", &json!({}));
    }

    /// Looks into the frame that `css` selects.
    pub(crate) fn enter_frame(&self, css: &str) {
        let frame = self.element("css selector", css);
        self.command("/frame", &json!({"id": {ELEMENT: frame}}));
    }

    /// Looks at the page around all frames.
    pub(crate) fn leave_frame(&self) {
        self.command("/frame", &json!({"id": null}));
    }

    /// The tab that is looked at.
    pub(crate) fn tab(&self) -> String {
        let tab = self.driver.call("GET", &format!("{}/window", self.session), &Value::Null).unwrap();
        tab.as_str().unwrap().to_owned()
    }

    fn tabs(&self) -> Vec<String> {
        let tabs =
            self.driver.call("GET", &format!("{}/window/handles", self.session), &Value::Null).unwrap();
        serde_json::from_value(tabs).unwrap()
    }

    /// A tab beside `known`, once there is one.
    pub(crate) fn another_tab(&self, known: &str) -> String {
        eventually("another tab", || self.tabs().into_iter().find(|tab| tab != known))
    }

    /// Waits until there is one tab.
    pub(crate) fn wait_until_alone(&self) {
        eventually("a single tab", || (self.tabs().len() == 1).then_some(()));
    }

    /// Looks at another tab.
    pub(crate) fn switch_to(&self, tab: &str) {
        self.command("/window", &json!({"handle": tab}));
    }

    /// Waits until `condition` is true.
    pub(crate) fn wait_until(&self, what: &str, condition: &str) {
        eventually(what, || (self.evaluate(condition) == Value::Bool(true)).then_some(()));
    }

    /// Runs a script until it calls the function that is its argument.
    pub(crate) fn run(&self, script: &str) {
        self.command("/execute/async", &json!({"script": script, "args": []}));
    }

    /// Clicks the link with this text.
    pub(crate) fn follow(&self, link: &str) {
        self.leave_by("link text", link);
    }

    /// Clicks what leads to another page, and waits until that is there: the protocol promises to
    /// wait itself, but where the click begins a chain of redirects it may come back before.
    fn leave_by(&self, strategy: &str, element: &str) {
        self.evaluate("window.isOld = true");
        self.on_element(strategy, element, "click", &json!({}));
        let what = format!("another page after a click on {element}");
        self.wait_until(&what, "!window.isOld && document.readyState === 'complete'");
    }

    /// Replaces what stands in the field that `css` selects.
    pub(crate) fn fill(&self, css: &str, text: &str) {
        self.on_element("css selector", css, "clear", &json!({}));
        self.on_element("css selector", css, "value", &json!({"text": text}));
    }

    /// The visible text of the first element that `css` selects.
    pub(crate) fn text(&self, css: &str) -> String {
        let element = self.element("css selector", css);
        let path = format!("{}/element/{element}/text", self.session);
        self.driver.call("GET", &path, &Value::Null).unwrap().as_str().unwrap().to_owned()
    }

    /// The value of a JavaScript expression.
    pub(crate) fn evaluate(&self, expression: &str) -> Value {
        self.command("/execute/sync", &json!({"script": format!("return {expression}"), "args": []}))
    }

    /// Shows pages as a phone with a dark theme would.
    pub(crate) fn become_a_dark_phone(&self) {
        let dark = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
        let phone = json!({"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true});
        for (cmd, params) in
            [("Emulation.setEmulatedMedia", dark), ("Emulation.setDeviceMetricsOverride", phone)]
        {
            self.command("/goog/cdp/execute", &json!({"cmd": cmd, "params": params}));
        }
    }

    /// Shows pages in a window of this size, with a light or a dark theme.
    pub(crate) fn appear(&self, width: u64, height: u64, is_dark: bool) {
        let theme = if is_dark { "dark" } else { "light" };
        let theme = json!({"features": [{"name": "prefers-color-scheme", "value": theme}]});
        let window = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        for (cmd, params) in
            [("Emulation.setEmulatedMedia", theme), ("Emulation.setDeviceMetricsOverride", window)]
        {
            self.command("/goog/cdp/execute", &json!({"cmd": cmd, "params": params}));
        }
    }

    /// What axe-core finds on the page that would shut people out: violations of the levels A and AA.
    pub(crate) fn accessibility_faults(&self) -> Vec<String> {
        let axe = std::fs::read_to_string(AXE).expect("axe-core is missing: `tests/run` installs it");
        let script = format!(
            "{axe}; const tell = arguments[0]; const levels = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
             axe.run(document, {{ runOnly: levels }}).then(({{ violations, passes }}) => tell({{
                 checked: passes.length,
                 faults: violations.map(({{ id, nodes }}) => id + ': ' + nodes.map((node) => node.html).join(' ')),
             }}));"
        );
        let found = self.command("/execute/async", &json!({"script": script, "args": []}));
        assert!(found["checked"].as_u64() > Some(5), "hardly anything was looked at: {found}");
        serde_json::from_value(found["faults"].clone()).unwrap()
    }

    /// Presses keys, wherever the focus is (§17.4.2 of the protocol has their names).
    pub(crate) fn type_keys(&self, keys: &str) {
        let each =
            keys.chars().flat_map(|key| ["keyDown", "keyUp"].map(|how| json!({"type": how, "value": key})));
        let actions: Vec<Value> = each.collect();
        self.command("/actions", &json!({"actions": [{"type": "key", "id": "keys", "actions": actions}]}));
    }

    /// Keeps a picture of the whole page, beyond what fits into the window.
    pub(crate) fn whole_page(&self, file: &Path) {
        let params = json!({"captureBeyondViewport": true, "format": "png"});
        let taken =
            self.command("/goog/cdp/execute", &json!({"cmd": "Page.captureScreenshot", "params": params}));
        std::fs::write(file, STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()).unwrap();
    }

    /// Runs no scripts of pages from now on.
    pub(crate) fn switch_scripts_off(&self) {
        let parameters = json!({"cmd": "Emulation.setScriptExecutionDisabled", "params": {"value": true}});
        self.command("/goog/cdp/execute", &parameters);
    }

    /// Types into the field that `css` selects, behind what stands there.
    pub(crate) fn type_into(&self, css: &str, text: &str) {
        self.on_element("css selector", css, "value", &json!({"text": text}));
    }

    /// What the browser wrote to its console since the last call.
    pub(crate) fn console(&self) -> Vec<String> {
        let entries = self.command("/se/log", &json!({"type": "browser"}));
        let message = |entry: &Value| entry["message"].as_str().unwrap().to_owned();
        entries.as_array().unwrap().iter().map(message).collect()
    }

    /// Keeps a picture of what is to be seen now.
    pub(crate) fn screenshot(&self, file: &Path) {
        let path = format!("{}/screenshot", self.session);
        let png = self.driver.call("GET", &path, &Value::Null).unwrap();
        std::fs::write(file, STANDARD.decode(png.as_str().unwrap()).unwrap()).unwrap();
    }

    fn on_element(&self, using: &str, value: &str, action: &str, parameters: &Value) {
        let element = self.element(using, value);
        self.command(&format!("/element/{element}/{action}"), parameters);
    }

    fn element(&self, using: &str, value: &str) -> String {
        let found = self.command("/element", &json!({"using": using, "value": value}));
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn command(&self, path: &str, parameters: &Value) -> Value {
        self.driver.call("POST", &format!("{}{path}", self.session), parameters).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends Chromium; the driver itself goes right after.
        drop(self.driver.call("DELETE", &self.session, &Value::Null));
    }
}

/// What `look` finds, once it does.
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let found = (0..HANG_GUARD).find_map(|_| {
        std::thread::sleep(Duration::from_millis(20));
        look()
    });
    found.unwrap_or_else(|| panic!("there is never {what}"))
}

/// A chromedriver on a port of its own choosing.
struct Driver {
    process: Child,
    port: u16,
}

impl Driver {
    fn start() -> Self {
        let mut process = Command::new(CHROMEDRIVER)
            .arg("--port=0")
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let greeting = BufReader::new(process.stdout.take().unwrap());
        let port = greeting.lines().find_map(|line| {
            let line = line.unwrap();
            line.rsplit_once("started successfully on port ")?.1.trim_end_matches('.').parse().ok()
        });
        Self { process, port: port.expect("chromedriver says on which port it listens") }
    }

    /// Sends one command. `Err` holds the driver's own words.
    fn call(&self, method: &str, path: &str, parameters: &Value) -> Result<Value, String> {
        let body = if parameters.is_null() { String::new() } else { parameters.to_string() };
        let answer = self.exchange(method, path, &body).map_err(|error| format!("{path}: {error}"))?;
        let value: Value =
            serde_json::from_str(&answer).map_err(|error| format!("{path}: {error}: {answer}"))?;
        match &value["value"] {
            Value::Object(failure) if failure.contains_key("error") => {
                Err(format!("{method} {path} {body}: {} {}", failure["error"], failure["message"]))
            }
            value => Ok(value.clone()),
        }
    }

    fn exchange(&self, method: &str, path: &str, body: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )?;
        // The driver promises to close the connection, and does not: count.
        let mut answer = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            answer.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().map_err(std::io::Error::other)?;
                }
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        let mut body = String::new();
        answer.take(length).read_to_string(&mut body)?;
        Ok(body)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The whole group: a browser that the driver could not close goes with it.
        let group = format!("-{}", self.process.id());
        drop(Command::new("kill").args(["-KILL", "--", &group]).status());
        drop(self.process.wait());
    }
}
