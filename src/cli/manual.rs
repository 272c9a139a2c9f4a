//! `tollgate man`: the manual pages, made from what `--help` is made from, so that they are true.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::print;

/// What else there is to know of the program: terms, each with what it stands for, by section.
const SECTIONS: [(&str, &[(&str, &str)]); 3] = [
    (
        "EXIT STATUS",
        &[
            ("0", "All went well."),
            ("1", "Something failed; standard error tells what."),
            ("64", "Invalid usage."),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            ("TOLLGATE_KEY", "The API key for the commands that call the control API."),
            ("NO_COLOR", "Set to anything: log lines for people have no colours."),
            (
                "LISTEN_FDS, LISTEN_FDNAMES",
                "Sockets that a service manager has opened, see sd_listen_fds(3).",
            ),
            ("NOTIFY_SOCKET", "Where a service manager wants to be told of the start and the end."),
            ("NAME", "Whatever the configuration asks for with ${NAME}."),
        ],
    ),
    (
        "FILES",
        &[
            ("config.toml", "The configuration, in the working directory unless --config names another."),
            ("/etc/tollgate/config.toml", "The configuration of the service that packages install."),
            ("/var/lib/tollgate", "Its store: users, sessions and open tokens."),
            ("/usr/share/doc/tollgate", "The documents, with every key of the configuration."),
        ],
    ),
];

#[derive(Debug, Args)]
pub(super) struct Manual {
    /// Write the pages of all commands to this folder, which is created if it does not exist.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

impl Manual {
    /// Prints the page of `program`, or writes it and those of its commands.
    pub(super) fn run(&self, program: Command) -> anyhow::Result<ExitCode> {
        let mut program = program.disable_help_subcommand(true);
        program.build();
        match &self.out {
            Some(folder) => {
                fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
                write(&program, folder)?;
            }
            None => print(&page(&program)?)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes the page of a command, and of all below it.
fn write(command: &Command, folder: &Path) -> anyhow::Result<()> {
    let file = folder.join(man(command).get_filename());
    fs::write(&file, page(command)?).with_context(|| format!("cannot write {}", file.display()))?;
    command.get_subcommands().try_for_each(|below| write(below, folder))
}

fn man(command: &Command) -> Man {
    let source = concat!("tollgate ", env!("CARGO_PKG_VERSION"));
    Man::new(command.clone()).source(source).manual("The tollgate manual")
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let (man, mut page) = (man(command), Vec::new());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let is_program = command.get_display_name().is_none_or(|name| name == command.get_name());
    let mut rest = Roff::new();
    if is_program {
        for (heading, terms) in SECTIONS {
            rest.control("SH", [heading]);
            for (term, meaning) in terms {
                rest.control("TP", []).text([bold(*term)]).text([roman(*meaning)]);
            }
        }
    } else {
        if let Some(note) = command.get_after_help() {
            rest.control("SH", ["NOTES"]).text([roman(note.to_string())]);
        }
        rest.control("SH", ["SEE ALSO"]).text([bold("tollgate"), roman("(1)")]);
    }
    rest.to_writer(&mut page)?;
    Ok(page)
}
