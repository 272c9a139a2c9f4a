//! Keys that are made and rotated in the configuration's own file.

use std::fs::File;
use std::process::Output;

use super::{run, said, tollgate};

/// A configuration with a key whose secret comes from a variable, in a folder of its own.
fn configuration() -> (tempfile::TempDir, std::path::PathBuf, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.toml");
    let text = "# Ours.\n[[site]]\nname = \"demo\"\nhosts = [\"*\"]\nupstream = [\"http://127.0.0.1:9\"]\n\
                login_url = \"https://login.example.com/\"\n\n[[api_key]]  # the login page\nname = \"login-page\"\n\
                secret = \"${LOGIN_PAGE_KEY}\"  # out of the vault\nscopes = [\"write:sso\"]\n\n# The end.\n";
    std::fs::write(&file, text).expect("the file is written");
    (folder, file, text.to_owned())
}

fn key_command(words: &[&str], file: &std::path::Path) -> Output {
    let mut command = tollgate(&["key"]);
    run(command.args(words).arg("--config").arg(file).env("LOGIN_PAGE_KEY", "the-key-of-the-login-page"))
}

#[test]
fn a_key_is_rotated_in_the_file_and_the_old_one_still_counts() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, file, text) = configuration();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("a mode");

    let shown = key_command(&["rotate", "login-page"], &file);
    let told = String::from_utf8(shown.stdout).expect("text");
    assert!(shown.status.success() && told.contains("[[api_key.previous]]\nsecret_sha256 = "), "{told}");
    assert_eq!(std::fs::read_to_string(&file).expect("text"), text, "without --write it is as it was");

    let written = key_command(&["rotate", "login-page", "--write", "--overlap", "7d"], &file);
    let told = String::from_utf8(written.stdout).expect("text");
    assert!(written.status.success(), "{told}");
    let key = told.lines().next().and_then(|line| line.strip_prefix("key            ")).expect(&told);
    assert_eq!((key.len(), told.matches(key).count()), (43, 1), "{told}");
    let now = std::fs::read_to_string(&file).expect("text");
    for kept in [
        "# Ours.\n[[site]]",
        "[[api_key]]  # the login page",
        "\"  # out of the vault\nscopes",
        "\n# The end.\n",
    ] {
        assert!(now.contains(kept), "{kept}: {now}");
    }
    assert!(!now.contains(key) && !now.contains("LOGIN_PAGE_KEY") && !now.contains("the-key-of"), "{now}");
    let mode = std::fs::metadata(&file).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(std::fs::read_dir(folder.path()).expect("is there").count(), 1, "and no draft of it");

    let listed = run(tollgate(&["key", "list", "--config"]).arg(&file));
    let told = String::from_utf8(listed.stdout).expect("text");
    let lines: Vec<Vec<&str>> = told.lines().map(|line| line.split('\t').collect()).collect();
    let [new, old] = lines.as_slice() else { panic!("{told}") };
    assert_eq!(
        (new[..2].to_vec(), new[3..].to_vec()),
        (vec!["login-page", "bearer"], vec!["current", "-", "[\"write:sso\"]", "none", "-"])
    );
    assert!(now.contains(&format!("secret_sha256 = \"{}", new[2])) && new[2].len() == 8);
    assert_eq!((old[3], old[4].len()), ("previous", "2026-01-01T00:00:00Z".len()));
}

#[test]
fn of_a_key_that_leaked_no_secret_is_left() {
    let (_folder, file, text) = configuration();
    // Somebody was too slow to think of the overlap.
    for overlap in ["24h", "0s"] {
        assert!(
            key_command(&["rotate", "login-page", "--write", "--overlap", overlap], &file).status.success()
        );
    }
    let listed = run(tollgate(&["key", "list", "--config"]).arg(&file));
    let told = String::from_utf8(listed.stdout).expect("text");
    assert!(told.lines().count() == 1 && told.contains("\tcurrent\t"), "{told}");

    // What is over by itself is not begun anew without a word.
    let over = text
        .replace("scopes = [\"write:sso\"]", "scopes = [\"write:sso\"]\nexpires_at = 2026-01-01T00:00:00Z");
    std::fs::write(&file, &over).expect("the file is written");
    let output = key_command(&["rotate", "login-page", "--write"], &file);
    let (status, said) = said(&output);
    assert!(status == Some(1) && said.contains("has ended on 2026-01-01T00:00:00Z"), "{said}");
    assert!(output.stdout.is_empty() && std::fs::read_to_string(&file).expect("text") == over);
}

#[test]
fn a_file_that_cannot_be_changed_rightly_is_not_changed() {
    let (folder, file, text) = configuration();
    for (words, about) in [
        (&["rotate", "nobody", "--write"][..], "there is no [[api_key]] with name = \"nobody\""),
        (&["rotate", "login-page", "--write", "--config", "/nowhere/config.toml"], "--config"),
    ] {
        let output = key_command(words, &file);
        let (status, said) = said(&output);
        assert!(status != Some(0) && said.contains(about) && output.stdout.is_empty(), "{words:?}: {said}");
    }
    let broken = folder.path().join("broken.toml");
    std::fs::write(&broken, format!("{text}[serve]\n")).expect("the file is written");
    let output = key_command(&["rotate", "login-page", "--write"], &broken);
    let (status, said) = said(&output);
    assert!(status == Some(1) && said.contains("did you mean server?") && output.stdout.is_empty(), "{said}");
    // A secret that nobody could read is not put into force.
    let full = File::options().write(true).open("/dev/full").expect("the device is there");
    let mut command = tollgate(&["key", "rotate", "login-page", "--write", "--config"]);
    command.arg(&file).env("LOGIN_PAGE_KEY", "the-key-of-the-login-page").stdout(full);
    assert!(!run(&mut command).status.success());
    assert_eq!(std::fs::read_to_string(&file).expect("text"), text);
    // Whoever has a link to the file still has one.
    let link = folder.path().join("link.toml");
    std::os::unix::fs::symlink("config.toml", &link).expect("a link");
    assert!(key_command(&["rotate", "login-page", "--write"], &link).status.success());
    assert!(std::fs::symlink_metadata(&link).expect("is there").is_symlink());
    assert_ne!(std::fs::read_to_string(&file).expect("text"), text);
}
