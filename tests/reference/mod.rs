//! A second opinion on who may pass: rules and readings of paths as simple as can be, written without
//! a look at the gateway's own. It knows nothing of how the gateway judges a path that can be read in
//! several ways; it only knows what each way leads to, and what the rules say of that.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Words of which paths are made: such as differ in case, begin like one another, or look like syntax.
pub(crate) const WORDS: [&str; 10] = ["admin", "Admin", "adm", "public", "a", "b", "x.y", "a b", "100%", "é"];

/// The groups there are.
pub(crate) const GROUPS: [&str; 2] = ["staff", "press"];

const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];

/// What a path asks, as the configuration spells it.
const LEVELS: [&str; 3] = ["off", "optional", "required"];

/// Chance, as a generator of its own: so that a case is one number.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `sides` (splitmix64).
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).unwrap_or_default()
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }
}

/// One exception of a site.
#[derive(Clone, Debug)]
pub(crate) struct Exception {
    pub(crate) segments: Vec<&'static str>,
    pub(crate) methods: Vec<&'static str>,
    pub(crate) level: &'static str,
    pub(crate) groups: Vec<&'static str>,
}

impl Exception {
    /// Its prefix as the configuration has it.
    pub(crate) fn prefix(&self) -> String {
        self.segments.iter().fold(String::from("/"), |path, segment| path + &plain(segment) + "/")
    }
}

/// What a site asks of whom.
#[derive(Clone, Debug)]
pub(crate) struct House {
    pub(crate) default: &'static str,
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) allow_encoded_slash: bool,
}

impl House {
    pub(crate) fn any(dice: &mut Dice) -> Self {
        let exception = |dice: &mut Dice| {
            let segments = (0..dice.roll(4)).map(|_| dice.pick(&WORDS)).collect();
            let methods = (0..dice.pick(&[0, 0, 1, 2])).map(|_| dice.pick(&METHODS)).collect();
            let level = dice.pick(&LEVELS);
            let groups = (0..dice.roll(3)).map(|_| dice.pick(&GROUPS)).collect();
            let groups = if level == "required" { groups } else { Vec::new() };
            Exception { segments, methods, level, groups }
        };
        Self {
            default: dice.pick(&LEVELS),
            exceptions: (0..=dice.roll(5)).map(|_| exception(dice)).collect(),
            allow_encoded_slash: dice.roll(2) == 0,
        }
    }

    /// Whether whoever is in `groups`, or has no session, may send `method` to the path that has these
    /// segments and nothing else about it.
    pub(crate) fn admits(&self, segments: &[Vec<u8>], method: &str, visitor: Option<&[&str]>) -> bool {
        let covers = |one: &&Exception| {
            let prefix = one.segments.iter().map(|segment| segment.as_bytes());
            segments.len() >= one.segments.len()
                && prefix.zip(segments).all(|(own, segment)| own == segment.as_slice())
                && (one.methods.is_empty() || one.methods.contains(&method))
        };
        let rank = |one: &Exception| (one.segments.len(), !one.methods.is_empty());
        let best = self.exceptions.iter().filter(covers).map(rank).max();
        let deciding: Vec<_> =
            self.exceptions.iter().filter(covers).filter(|one| Some(rank(one)) == best).collect();
        let place = |level: &str| LEVELS.iter().position(|own| *own == level);
        let level =
            deciding.iter().map(|one| one.level).max_by_key(|level| place(level)).unwrap_or(self.default);
        if level != "required" {
            return true;
        }
        let Some(own) = visitor else { return false };
        let mut asked = deciding.iter().filter(|one| one.level == level).map(|one| &one.groups).peekable();
        let is_met = |groups: &Vec<&str>| groups.is_empty() || groups.iter().any(|group| own.contains(group));
        asked.peek().is_none() || asked.any(is_met)
    }

    /// Whether all that a server may take `path` for is open to `visitor`.
    pub(crate) fn admits_every_reading(&self, path: &[u8], method: &str, visitor: Option<&[&str]>) -> bool {
        readings(path).iter().all(|reading| self.admits(&segments(reading), method, visitor))
    }
}

/// A word as a plain URL has it.
fn plain(word: &str) -> String {
    let mut text = String::new();
    for byte in word.bytes() {
        let _infallible = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' => write!(text, "{}", char::from(byte)),
            _ => write!(text, "%{byte:02X}"),
        };
    }
    text
}

/// A path of a few words, most of them under one of the exceptions: as a plain URL has it, and spelled
/// in some other way, which may well mean something else.
pub(crate) fn target(house: &House, dice: &mut Dice) -> (String, String) {
    let mut words = match dice.roll(4) {
        0 => Vec::new(),
        _ => house.exceptions[dice.roll(house.exceptions.len())].segments.clone(),
    };
    words.extend((0..dice.roll(3)).map(|_| dice.pick(&WORDS)));
    let (mut text, mut spelled) = (String::new(), String::new());
    for word in &words {
        text.push('/');
        text.push_str(&plain(word));
        spelled.push_str(&separator(dice));
        spell(word, dice, &mut spelled);
    }
    if words.is_empty() || dice.roll(3) == 0 {
        text.push('/');
        spelled.push_str(&separator(dice));
    }
    if !spelled.starts_with('/') {
        spelled.insert(0, '/');
    }
    (text, spelled)
}

fn separator(dice: &mut Dice) -> String {
    const ODD: [&str; 22] = [
        "//",
        "///",
        "/./",
        "/.//",
        "/%2e/",
        "/x/../",
        "/x/%2e%2E/",
        "/public/../",
        "/..;/",
        "/;/",
        "/;v=1/",
        "/;%2f/",
        "\\",
        "/\\",
        "%5c",
        "%2f",
        "%2F/",
        "/%2f",
        ";/",
        ";a=b;c/",
        "%3b/",
        "/public/..%2f",
    ];
    if dice.roll(4) == 0 { dice.pick(&ODD).to_owned() } else { "/".to_owned() }
}

fn spell(word: &str, dice: &mut Dice, to: &mut String) {
    const TAILS: [&str; 8] = [";", ";x=1", "%3bx", ";%2f", ".", "%20", "%00", ";/.."];
    let habit = dice.roll(3);
    for byte in word.bytes() {
        let must = !(byte.is_ascii_alphanumeric() || byte == b'.');
        let _infallible = match if habit == 0 { 0 } else { dice.roll(12) } {
            1 => write!(to, "%{byte:02x}"),
            2 => write!(to, "%{byte:02X}"),
            3 if habit == 1 => write!(to, "%25{byte:02x}"),
            4 if habit == 1 => write!(to, "{}", char::from(byte.to_ascii_uppercase() & 0x7f)),
            5 if habit == 2 => write!(to, "%{:02x}", dice.roll(256)),
            _ if must => write!(to, "%{byte:02X}"),
            _ => write!(to, "{}", char::from(byte)),
        };
    }
    if dice.roll(6) == 0 {
        to.push_str(dice.pick(&TAILS));
    }
}

/// One thing that a server may do with a path.
type Step = fn(&[u8]) -> Vec<u8>;

/// Whatever servers are known to make of a path: each of these done or not, in any order.
fn readings(path: &[u8]) -> BTreeSet<Vec<u8>> {
    const STEPS: [Step; 5] = [decoded, folded, cut, resolved, turned];
    // None of these steps changes a path without one of these.
    let is_plain = |pair: &[u8]| !matches!(pair, [b'%' | b';' | b'\\', _] | [b'/', b'/' | b'.']);
    if path.windows(2).all(is_plain) && !matches!(path.last(), Some(b';' | b'\\')) {
        return BTreeSet::from([path.to_vec()]);
    }
    let mut seen = BTreeSet::new();
    let mut open = vec![(path.to_vec(), 0_u8)];
    while let Some((reading, done)) = open.pop() {
        if !seen.insert((reading.clone(), done)) {
            continue;
        }
        for (place, step) in STEPS.iter().enumerate().filter(|(place, _)| done & 1 << place == 0) {
            open.push((step(&reading), done | 1 << place));
        }
    }
    seen.into_iter().map(|(reading, _)| reading).collect()
}

fn segments(path: &[u8]) -> Vec<Vec<u8>> {
    let mut segments: Vec<_> = path.split(|byte| *byte == b'/').skip(1).map(<[u8]>::to_vec).collect();
    // `/` has no segment, and `/a/` lies under `/a`.
    if segments.last().is_some_and(Vec::is_empty) {
        segments.pop();
    }
    segments
}

fn joined<S: AsRef<[u8]>>(segments: impl Iterator<Item = S>) -> Vec<u8> {
    segments.fold(Vec::new(), |mut path, segment| {
        path.push(b'/');
        path.extend_from_slice(segment.as_ref());
        path
    })
}

fn decoded(path: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), path);
    while let [first, behind @ ..] = rest {
        let digits = behind.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok());
        out.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &behind[2..] } else { behind };
    }
    out
}

fn folded(path: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::new();
    for byte in path {
        if *byte != b'/' || out.last() != Some(&b'/') {
            out.push(*byte);
        }
    }
    out
}

fn cut(path: &[u8]) -> Vec<u8> {
    let uncut = path.split(|byte| *byte == b'/').skip(1);
    joined(uncut.map(|segment| segment.split(|byte| *byte == b';').next().unwrap_or_default()))
}

/// RFC 3986 §5.2.4.
fn resolved(path: &[u8]) -> Vec<u8> {
    let mut stack: Vec<&[u8]> = Vec::new();
    let all: Vec<&[u8]> = path.split(|byte| *byte == b'/').skip(1).collect();
    for (place, segment) in all.iter().enumerate() {
        let is_dots = matches!(*segment, b"." | b"..");
        if *segment == b".." {
            stack.pop();
        }
        if !is_dots {
            stack.push(segment);
        } else if place + 1 == all.len() {
            stack.push(b"");
        }
    }
    joined(stack.into_iter())
}

fn turned(path: &[u8]) -> Vec<u8> {
    path.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect()
}
