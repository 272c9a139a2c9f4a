//! Files that the process may have open at one time, sockets included, and whose they are.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What visitors leave of them: for connections to upstreams, the store, certificates and logs.
const LEFT: std::ops::RangeInclusive<usize> = 64..=4096;

/// Lets the process have as many files open as it may allow itself (`RLIMIT_NOFILE`). The limit that counts is a
/// low one by tradition, for programs that use `select(2)`.
pub fn raise_limit_of_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if limit.current != raised.current
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(target: "tollgate::server", %error, "cannot raise the limit of open files");
    }
}

/// How many connections visitors may have where the settings say `most`: no more than there are files for, when
/// each of a good part of them needs another one for the upstream.
pub(super) fn for_visitors(most: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
    limit.map_or(most, |limit| most.min(visitors_part(limit)))
}

fn visitors_part(files: usize) -> usize {
    let left = (files / 4).clamp(*LEFT.start(), *LEFT.end()).min(files / 2);
    (files - left).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visitors_do_not_get_all_files() {
        assert_eq!([0, 60, 200, 1024, 65_536].map(visitors_part), [1, 30, 136, 768, 61_440]);
        assert_eq!(for_visitors(1), 1);
    }
}
