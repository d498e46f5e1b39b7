//! What the tool and the library that it has put into a running process say to each other: the
//! names of the library's functions, what they are told, and a word in which the library says what
//! it is doing, for others to look at from outside.

use crate::Scope;

/// What the library is called that was put into a process while it ran, and so in memory maps.
pub const LIBRARY: &str = "libtlsheap_attached.so";

/// The function that begins to record: takes the address of the words of a [`Request`], and answers
/// as [`Answer`] says.
pub const BEGIN: &str = "tlsheap_attach";

/// The function that puts everything back: as [`BEGIN`].
pub const END: &str = "tlsheap_detach";

/// The function that gives back what memory the library has taken, once no thread is in it any more:
/// as [`BEGIN`].
pub const SWEEP: &str = "tlsheap_sweep";

/// The variable of eight bytes in which a [`State`] stands.
pub const STATE: &str = "tlsheap_state";

/// What the library is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The descriptor of the empty file to count in. It is the process's own, and the library closes
    /// it.
    pub ledger: i32,
    /// By which number the tool knows the process.
    pub pid: u32,
    /// Where the folder's path lies in which children that the process forks make their ledgers: a C
    /// string.
    pub folder: u64,
    /// Where the answer's text is to be put.
    pub text: u64,
    /// How long that may be, in bytes.
    pub room: u64,
    /// The process lives behind a system-call filter, which is not in force during the call.
    pub filtered: bool,
    /// What is to be recorded of it.
    pub scope: Scope,
    /// Where the text of the process's memory map lies, for one that cannot read it itself, without
    /// `/proc`: lines in the kernel's form, of files and of the first stack.
    pub map: u64,
    /// How long that is; 0 for one that can.
    pub map_bytes: u64,
}

/// The form of [`Request`]: the first of its words.
const FORM: u64 = u64::from_le_bytes(*b"tlsheap3");

impl Request {
    /// How many words it has.
    pub const WORDS: usize = 10;

    /// The words, as they lie in memory.
    pub fn to_words(self) -> [u64; Request::WORDS] {
        let Request { ledger, pid, folder, text, room, filtered, scope, map, map_bytes } = self;
        let (ledger, filtered, scope) = (ledger as u64, filtered.into(), scope as u64);
        [FORM, ledger, pid.into(), folder, text, room, filtered, scope, map, map_bytes]
    }

    /// What the words say; `None` where they are of another form.
    pub fn from_words(words: [u64; Request::WORDS]) -> Option<Request> {
        let [FORM, ledger, pid, folder, text, room, filtered, scope, map, map_bytes] = words else {
            return None;
        };
        let (ledger, pid, filtered) = (ledger as i32, u32::try_from(pid).ok()?, filtered != 0);
        let scope = Scope::from_number(scope)?;
        Some(Request { ledger, pid, folder, text, room, filtered, scope, map, map_bytes })
    }
}

/// What a function of the library has answered: a text that lies where the request says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done. The text is that of the process's coverage file, so many bytes long.
    Done(u64),
    /// It is not, and nothing has changed. The text is a sentence.
    Refused(u64),
}

impl Answer {
    /// The function's result.
    pub fn to_word(self) -> i64 {
        match self {
            Answer::Done(bytes) => bytes as i64,
            Answer::Refused(bytes) => -1 - bytes as i64,
        }
    }

    /// What the result means.
    pub fn from_word(word: i64) -> Answer {
        match u64::try_from(word) {
            Ok(bytes) => Answer::Done(bytes),
            Err(_) => Answer::Refused((-1 - word) as u64),
        }
    }
}

/// What the library is doing in its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing, and it never has.
    Idle,
    /// What it was told when the process began.
    Preloaded,
    /// It records, since it was told to by [`BEGIN`].
    Recording,
    /// Nothing any more: it was told to end.
    LetGo,
}

impl State {
    const ALL: [State; 4] = [State::Idle, State::Preloaded, State::Recording, State::LetGo];

    /// The word in memory.
    pub const fn word(self) -> u64 {
        FORM.wrapping_add(self as u64)
    }

    /// What a word means; `None` where it is of another form.
    pub fn from_word(word: u64) -> Option<State> {
        State::ALL.into_iter().find(|state| state.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        let scope = Scope::Everything;
        let (folder, text, room) = (1 << 40, 4096, 1);
        let (map, map_bytes) = (8192, 77);
        let (ledger, pid, filtered) = (7, 77, true);
        let request = Request { ledger, pid, folder, text, room, filtered, scope, map, map_bytes };
        assert_eq!(Request::from_words(request.to_words()), Some(request));
        assert_eq!(Request::from_words([0; Request::WORDS]), None);
        for answer in [0, 1, 9_000].map(Answer::Done).into_iter().chain([Answer::Refused(0)]) {
            assert_eq!(Answer::from_word(answer.to_word()), answer);
        }
        assert!(State::ALL.into_iter().all(|state| State::from_word(state.word()) == Some(state)));
        assert_eq!(State::from_word(0), None);
    }
}
