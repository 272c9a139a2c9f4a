//! Sockets that outlive the program: a restart refuses nobody.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{Authority, Connection, FakeUpstream, HANG, Plan, Program};

const GET: &[u8] = b"GET /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n";

/// As systemd starts a service with a socket of that name: open as number 3, and said so in the
/// environment of the process itself.
pub(crate) fn with_socket(listener: &TcpListener, name: &'static str) -> impl FnOnce(Command) -> Command {
    let socket: OwnedFd = listener.try_clone().expect("a socket").into();
    move |program| {
        let mut shell = Command::new("sh");
        let hand_over = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
        shell.args(["-c", hand_over, "sh"]).arg(program.get_program()).args(program.get_args());
        shell.env("LISTEN_FDNAMES", name).stdin(Stdio::from(socket));
        shell
    }
}

#[tokio::test]
async fn under_load_nobody_is_refused() {
    let upstream = FakeUpstream::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let plan = Plan::new(&upstream).server("workers", "2").server("http", &format!("[\"{address}\"]"));
    let mut program = Program::start_by(&plan, with_socket(&listener, "")).await;
    assert_eq!(program.http, address);

    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let visitors: Vec<_> = (0..8)
        .map(|number| {
            let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
            tokio::spawn(async move {
                let mut kept = None;
                while !stop.load(Ordering::Relaxed) {
                    // Some keep their connection as long as it lasts, some take a new one each time.
                    let is_new = kept.is_none();
                    let mut connection = match kept.take() {
                        Some(connection) => connection,
                        None => Connection::open([127, 0, 0, 1].into(), address).await,
                    };
                    let answer = connection.exchange(GET, "GET").await;
                    assert!(answer.is_some() || !is_new, "a new connection ended without an answer");
                    if let Some(answer) = answer {
                        assert_eq!(answer.status, 200);
                        served.fetch_add(1, Ordering::Relaxed);
                        kept = (number % 2 == 0 && !answer.closes).then_some(connection);
                    }
                }
            })
        })
        .collect();
    for _ in 0..3 {
        let before = served.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let next = Program::start_by(&plan, with_socket(&listener, "")).await;
        program.signal("TERM");
        assert!(program.ends().await);
        program = next;
        assert!(served.load(Ordering::Relaxed) > before);
    }
    stop.store(true, Ordering::Relaxed);
    for visitor in visitors {
        tokio::time::timeout(HANG, visitor).await.expect("ends").expect("was never refused");
    }
}

#[tokio::test]
async fn what_is_on_its_way_on_an_idle_connection_is_still_answered() {
    let upstream = FakeUpstream::start().await;
    let program = Program::start(&Plan::new(&upstream)).await;
    let mut connections = Vec::new();
    // One of them has been idle for a while, one has just been used, and one was never used.
    for _ in 0..3 {
        connections.push(Connection::open([127, 0, 0, 1].into(), program.http).await);
    }
    assert_eq!(connections[0].exchange(GET, "GET").await.unwrap().status, 200);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(connections[1].exchange(GET, "GET").await.unwrap().status, 200);
    program.signal("TERM");
    tokio::time::sleep(Duration::from_millis(300)).await;
    for connection in &mut connections {
        let answer = connection.exchange(GET, "GET").await.expect("is answered");
        assert_eq!((answer.status, answer.closes), (200, true));
    }
    assert!(program.ends().await);
}

#[tokio::test]
async fn a_socket_that_nobody_named_is_a_fault() {
    let upstream = FakeUpstream::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // By its name it would be found.
    let program = Program::start_by(&Plan::new(&upstream), with_socket(&listener, "http")).await;
    assert_eq!(program.http, listener.local_addr().unwrap());

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, Plan::new(&upstream).to_toml()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.arg("serve").arg("--config").arg(&file);
    let output = with_socket(&listener, "other")(command).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("called \"other\", belongs to no listener"), "{said}");
}

#[tokio::test]
async fn what_was_meant_for_another_process_is_left_alone() {
    let upstream = FakeUpstream::start().await;
    let program = Program::start_by(&Plan::new(&upstream), |mut program| {
        program.env("LISTEN_FDS", "1").env("LISTEN_PID", "1");
        program
    })
    .await;
    let mut connection = Connection::open([127, 0, 0, 1].into(), program.http).await;
    assert_eq!(connection.exchange(GET, "GET").await.unwrap().status, 200);
}

#[tokio::test]
async fn the_service_manager_is_told() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(HANG)).unwrap();
    let heard = || {
        let mut room = [0; 256];
        let length = manager.recv(&mut room).expect("says something");
        String::from_utf8_lossy(&room[..length]).into_owned()
    };
    let program = Program::start_by(&Plan::new(&upstream), |mut program| {
        program.env("NOTIFY_SOCKET", &path);
        program
    })
    .await;
    assert_eq!(heard(), "READY=1\n");
    program.signal("TERM");
    assert_eq!(heard(), "STOPPING=1\n");
    assert!(program.ends().await);
}

#[tokio::test]
async fn who_reloads_the_service_hears_what_came_of_it() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let manager = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(HANG)).unwrap();
    let heard = || {
        let mut room = [0; 1024];
        let length = manager.recv(&mut room).expect("says something");
        String::from_utf8_lossy(&room[..length]).into_owned()
    };
    let reload = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        let output = command.arg("reload").env("RUNTIME_DIRECTORY", folder.path()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = reload();
    assert!(code == Some(1) && said.contains("no gateway listens"), "{said}");
    // What a process has left behind that was killed.
    std::fs::write(folder.path().join("reload"), "").unwrap();
    let plan = Plan::new(&upstream);
    let program = Program::start_by(&plan, |mut program| {
        program.env("RUNTIME_DIRECTORY", folder.path());
        program.env("NOTIFY_SOCKET", folder.path().join("notify"));
        program
    })
    .await;
    assert_eq!(heard(), "READY=1\n");
    let mode = std::fs::metadata(folder.path().join("reload")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it is nobody else's business");
    // It keeps nobody waiting who leaves, or says nothing.
    let silent = UnixStream::connect(folder.path().join("reload")).unwrap();
    drop(UnixStream::connect(folder.path().join("reload")).unwrap());
    assert_eq!(reload(), (Some(0), String::new()));
    // Nor does another that is started by mistake, whether it can serve or not, come between the two.
    let mut others = Vec::new();
    for address in ["127.0.0.1:0".to_owned(), program.http.to_string()] {
        let file = folder.path().join("other.toml");
        std::fs::write(&file, plan.clone().server("http", &format!("[{address:?}]")).to_toml()).unwrap();
        let mut other = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        other.args(["serve", "--config"]).arg(&file).env("RUNTIME_DIRECTORY", folder.path());
        let mut other = other.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(other.stderr.take().unwrap()).lines().map_while(Result::ok);
        let settled =
            lines.into_iter().find(|line| line.contains("listening") || line.contains("cannot listen"));
        assert!(settled.is_some());
        others.push(other);
    }
    std::fs::write(program.config(), plan.clone().server("max_connections", "0").to_toml()).unwrap();
    let (code, said) = reload();
    for mut other in others {
        let _has_ended = other.kill();
        let _no_zombie = other.wait();
    }
    assert_eq!(code, Some(1));
    assert!(said.contains("server.max_connections"), "it is the first that is asked: {said}");
    for (key, value, fault) in [
        ("max_connections", "0", "server.max_connections"),
        ("workers", "7", "server.workers cannot change while the program runs"),
    ] {
        std::fs::write(program.config(), plan.clone().server(key, value).to_toml()).unwrap();
        let (code, said) = reload();
        assert!(code == Some(1) && said.contains(fault) && said.contains("was not applied"), "{said}");
        let status = std::iter::repeat_with(heard).find(|said| said.contains(fault)).unwrap();
        assert!(status.starts_with("STATUS=The configuration was not applied: "), "{status}");
        let stranger = Connection::open([127, 0, 0, 1].into(), program.http).await.exchange(GET, "GET").await;
        assert_eq!(stranger.unwrap().status, 200, "what was in force serves");
    }
    std::fs::write(program.config(), plan.to_toml()).unwrap();
    assert_eq!(reload(), (Some(0), String::new()));
    assert!(std::iter::repeat_with(heard).any(|said| said == "STATUS=\n"), "all is well again");
    drop(silent);
    program.signal("TERM");
    assert!(program.ends().await);
}

#[tokio::test]
async fn sighup_is_for_certificates_and_ends_nothing() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let files = authority.issue("site", &["site.test"]);
    let plan = Plan::new(&upstream).certificate(files.clone());
    let program = Program::start(&plan).await;
    program.signal("HUP");
    program.line_with("certificates were reloaded").await;
    std::fs::write(&files.key, "").unwrap();
    program.line_with("cannot be used").await;
    // However often it is looked at.
    program.signal("HUP");
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(program.lines_with("cannot be used").len(), 1);
    program.signal("TERM");
    assert!(program.ends().await);
}
