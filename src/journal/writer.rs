//! The one thread that writes to a sink.
//!
//! Lines arrive whole or not at all. A disk that fills up cuts one in two; the writer keeps the other half
//! and begins with it when there is room again.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::follow::Followed;
use super::messages;
use super::outlet::{Counts, Destination, Kept};

/// An open destination.
pub(super) enum Sink {
    Stderr,
    File(Followed),
}

impl Sink {
    pub(super) fn open(destination: &Destination) -> io::Result<Self> {
        match destination {
            Destination::Stderr => Ok(Self::Stderr),
            Destination::File(path) => Followed::open(path).map(Self::File).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot write the log {}: {error}", path.display()))
            }),
        }
    }
}

/// A line of which the sink has a part.
struct Cut {
    line: Vec<u8>,
    /// How much of it.
    there: usize,
}

/// Writes lines to a sink.
pub(super) struct Writer {
    sink: Sink,
    kept: Kept,
    counts: Arc<Counts>,
    is_to_reopen: Arc<AtomicBool>,
    cut: Option<Cut>,
    /// How many lines were not written since it was said that there is something wrong; `None` if all is
    /// well.
    trouble: Option<u64>,
    /// Whether the file could not be followed to its name, and that was said.
    is_astray: bool,
    /// How many lines did not come through the queue, as far as that was said.
    missed: u64,
}

impl Writer {
    pub(super) fn new(sink: Sink, kept: Kept, counts: Arc<Counts>, is_to_reopen: Arc<AtomicBool>) -> Self {
        let is_torn = matches!(&sink, Sink::File(followed) if followed.is_torn());
        // Nothing is to be taken for the rest of a line whose rest is lost.
        let cut = is_torn.then(|| Cut { line: b"\n".to_vec(), there: 0 });
        Self { sink, kept, counts, is_to_reopen, cut, trouble: None, is_astray: false, missed: 0 }
    }

    /// Follows the file to its name.
    pub(super) fn look(&mut self) {
        let Sink::File(followed) = &mut self.sink else { return };
        match followed.follow(self.is_to_reopen.swap(false, Ordering::AcqRel)) {
            Ok(is_another) => {
                self.is_astray = false;
                // The other half would make no sense in another file: the line begins there anew.
                if is_another {
                    self.cut = self.cut.take().filter(|cut| cut.line != b"\n");
                    self.cut.iter_mut().for_each(|cut| cut.there = 0);
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_astray, true) {
                    let log = self.kept.as_str();
                    tracing::error!(
                        target: "tollgate::log", log, %error,
                        "the log file was moved away and cannot be reopened: lines still go to the old one"
                    );
                }
            }
        }
    }

    /// Writes `count` whole lines.
    pub(super) fn write(&mut self, lines: &[u8], count: u64) {
        self.look();
        let outcome = self.finish_cut().map_or_else(|error| Err((0, error)), |()| self.write_all(lines));
        match outcome {
            Ok(()) => {
                self.counts.written.add(count);
                self.say_well();
            }
            Err((there, error)) => {
                let rest = self.keep_cut(lines, there);
                // The line that was cut comes with it, too: who stops the program before there is room again
                // would have half of it.
                let with_cut = lines.get(line_begin(lines, there)..).unwrap_or_default();
                let lost = memchr::memchr_iter(b'\n', rest).count() as u64;
                self.counts.written.add(count.saturating_sub(lost));
                self.counts.unwritable.add(lost);
                self.say_trouble(lost, &error);
                if self.kept == Kept::Audit {
                    // So that it is somewhere.
                    messages::say(with_cut);
                }
            }
        }
    }

    fn finish_cut(&mut self) -> io::Result<()> {
        let Some(mut cut) = self.cut.take() else { return Ok(()) };
        let rest = cut.line.get(cut.there..).unwrap_or_default().to_vec();
        self.write_all(&rest).map_err(|(there, error)| {
            cut.there += there;
            self.cut = Some(cut);
            error
        })
    }

    /// Writes all of `bytes`, or says how much of it came through.
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut there = 0;
        while let Some(rest) = bytes.get(there..).filter(|rest| !rest.is_empty()) {
            let written = match &mut self.sink {
                // Whoever else writes to it writes whole lines too, and waits for this.
                Sink::Stderr => io::stderr().lock().write_all(rest).map(|()| rest.len()),
                Sink::File(followed) => followed.file.write(rest),
            };
            match written {
                Ok(0) => return Err((there, io::ErrorKind::WriteZero.into())),
                Ok(more) => there += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((there, error)),
            }
        }
        Ok(())
    }

    /// Keeps the line of `lines` that was cut after `there` bytes, and returns the lines behind it.
    fn keep_cut<'a>(&mut self, lines: &'a [u8], there: usize) -> &'a [u8] {
        let rest = lines.get(there..).unwrap_or_default();
        let begin = line_begin(lines, there);
        if begin == there {
            return rest;
        }
        let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |end| end + 1);
        let line = lines.get(begin..there + end).unwrap_or_default().to_vec();
        self.cut = Some(Cut { line, there: there - begin });
        rest.get(end..).unwrap_or_default()
    }

    /// Nothing waits to be written any more. Where lines are missing, it is said how many: nobody is to take
    /// for silence what is none.
    pub(super) fn catch_up(&mut self) {
        let missed = self.counts.too_many.value();
        let missing = missed.saturating_sub(std::mem::replace(&mut self.missed, missed));
        if missing == 0 {
            return;
        }
        match self.kept {
            Kept::Messages => {
                tracing::warn!(target: "tollgate::log", missing, "lines are missing here: they came too fast");
            }
            Kept::Access => {
                let log = self.kept.as_str();
                tracing::warn!(target: "tollgate::log", log, missing, "lines of a log are missing: they came too fast");
            }
            // They are among the messages.
            Kept::Audit => {}
        }
    }

    fn say_trouble(&mut self, lost: u64, error: &io::Error) {
        let is_news = self.trouble.is_none();
        *self.trouble.get_or_insert(0) += lost;
        if is_news {
            let fate = match self.kept {
                Kept::Access => "its lines are lost until it can be written again",
                Kept::Audit => "its lines follow here until it can be written again",
                // There is nowhere to say so.
                Kept::Messages => return,
            };
            tracing::error!(target: "tollgate::log", log = self.kept.as_str(), %error, "a log cannot be written: {fate}");
        }
    }

    fn say_well(&mut self) {
        if let Some(missing) = self.trouble.take() {
            let log = self.kept.as_str();
            tracing::warn!(target: "tollgate::log", log, missing, "a log can be written again");
        }
    }
}

/// Where the line begins in which `there` is, or after which it stands.
fn line_begin(lines: &[u8], there: usize) -> usize {
    let written = lines.get(..there).unwrap_or(lines);
    written.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _no_room_yet = self.finish_cut();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn writer(path: &std::path::Path) -> Writer {
        let sink = Sink::open(&Destination::File(path.to_owned())).unwrap();
        Writer::new(sink, Kept::Access, Arc::default(), Arc::default())
    }

    #[test]
    fn what_was_moved_away_stays_as_it_is_and_the_rest_goes_into_a_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("a.log"), folder.path().join("a.log.1"));
        let mut writer = writer(&path);
        writer.write(b"one\ntwo\n", 2);
        fs::rename(&path, &old).unwrap();
        writer.write(b"three\n", 1);
        fs::remove_file(&path).unwrap();
        writer.write(b"four\n", 1);
        assert_eq!(fs::read_to_string(&old).unwrap(), "one\ntwo\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "four\n");
        assert_eq!(writer.counts.written.value(), 4);
    }

    #[test]
    fn a_line_that_was_cut_is_finished_first_or_begins_anew_in_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut writer = writer(&path);
        let lines = b"one\ntwo\nthree\nfour\n";
        for (there, cut, rest) in [
            (0, None, "one\ntwo\nthree\nfour\n"),
            (4, None, "two\nthree\nfour\n"),
            (3, Some(("one\n", 3)), "two\nthree\nfour\n"),
            (10, Some(("three\n", 2)), "four\n"),
            (18, Some(("four\n", 4)), ""),
        ] {
            writer.cut = None;
            assert_eq!(writer.keep_cut(lines, there), rest.as_bytes(), "{there}");
            let kept = writer.cut.as_ref().map(|cut| (cut.line.as_slice(), cut.there));
            assert_eq!(kept, cut.map(|(line, there)| (line.as_bytes(), there)), "{there}");
        }
        fs::write(&path, "one\nth").unwrap();
        writer.keep_cut(b"one\nthree\n", 6);
        writer.write(b"four\n", 1);
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\nthree\nfour\n");

        writer.keep_cut(b"five\n", 2);
        fs::rename(&path, folder.path().join("a.log.1")).unwrap();
        writer.write(b"six\n", 1);
        assert_eq!(fs::read_to_string(&path).unwrap(), "five\nsix\n");
    }

    #[test]
    fn nothing_is_written_behind_half_a_line_of_a_program_that_is_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("a.log"), folder.path().join("a.log.1"));
        for (before, after) in [("one\ntw", "one\ntw\nthree\n"), ("one\n", "one\nthree\n"), ("", "three\n")] {
            fs::write(&path, before).unwrap();
            writer(&path).write(b"three\n", 1);
            assert_eq!(fs::read_to_string(&path).unwrap(), after);
        }
        fs::write(&path, "tw").unwrap();
        let mut writer = writer(&path);
        fs::rename(&path, &old).unwrap();
        writer.write(b"three\n", 1);
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[test]
    fn a_full_disk_is_counted_and_recovered_from() {
        let mut writer = writer(std::path::Path::new("/dev/full"));
        writer.write(b"one\ntwo\n", 2);
        writer.write(b"three\n", 1);
        assert_eq!((writer.counts.written.value(), writer.counts.unwritable.value()), (0, 3));
        assert_eq!(writer.trouble, Some(3));
        let folder = tempfile::tempdir().unwrap();
        writer.sink = Sink::open(&Destination::File(folder.path().join("a.log"))).unwrap();
        writer.write(b"four\n", 1);
        assert_eq!((writer.trouble, writer.counts.written.value()), (None, 1));
    }

    #[test]
    fn a_folder_and_a_pipe_are_no_logs() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Sink::open(&Destination::File(folder.path().to_owned())).is_err());
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(Sink::open(&Destination::File(pipe)).is_err());
        assert!(Sink::open(&Destination::File(folder.path().join("no/such/folder"))).is_err());
    }
}
