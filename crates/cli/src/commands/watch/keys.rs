//! The keys of the screen: one table for what they do, what is said of them, and the documents.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Open,
    Back,
    NextOrder,
    GrowthFirst,
    NextBy,
    NextDomain,
    Mark,
    SinceStart,
    Pause,
    Help,
    Quit,
}

/// A key as it is shown, and what it does in a word or two.
pub struct Key {
    pub shown: &'static str,
    pub does: &'static str,
    /// In a sentence, for the list of keys.
    pub sentence: &'static str,
}

const fn key(shown: &'static str, does: &'static str, sentence: &'static str) -> Key {
    Key { shown, does, sentence }
}

/// The keys, in the order in which they are shown: as many as there is room for.
pub const KEYS: [Key; 11] = [
    key("q", "quit", "end; what is watched goes on"),
    key("↑↓", "row", "choose a row; also j and k, the page keys, Home and End"),
    key("Enter", "stacks", "open the row: every stack that has asked for its memory, whole"),
    key("s", "sort", "order the rows by the next column, the most first"),
    key("g", "growth", "order them by what has grown most"),
    key("m", "mark", "set a mark: growth is counted from now on"),
    key("0", "no mark", "count growth from the first look again"),
    key("b", "by", "add up by site, function, file or category"),
    key("d", "domain", "show the next domain's memory, or all of it"),
    key("p", "pause", "stop looking, and go on"),
    key("?", "keys", "show this list"),
];

/// What a key that was pressed asks for.
pub fn wish(event: KeyEvent) -> Option<Wish> {
    if event.modifiers.contains(KeyModifiers::CONTROL) {
        return (event.code == KeyCode::Char('c')).then_some(Wish::Quit);
    }
    Some(match event.code {
        KeyCode::Char('q') => Wish::Quit,
        KeyCode::Up | KeyCode::Char('k') => Wish::Up,
        KeyCode::Down | KeyCode::Char('j') => Wish::Down,
        KeyCode::PageUp => Wish::PageUp,
        KeyCode::PageDown => Wish::PageDown,
        KeyCode::Home => Wish::First,
        KeyCode::End => Wish::Last,
        KeyCode::Enter | KeyCode::Right => Wish::Open,
        KeyCode::Esc | KeyCode::Left | KeyCode::Backspace => Wish::Back,
        KeyCode::Char('s') => Wish::NextOrder,
        KeyCode::Char('g') => Wish::GrowthFirst,
        KeyCode::Char('b') => Wish::NextBy,
        KeyCode::Char('d') => Wish::NextDomain,
        KeyCode::Char('m') => Wish::Mark,
        KeyCode::Char('0') => Wish::SinceStart,
        KeyCode::Char('p' | ' ') => Wish::Pause,
        KeyCode::Char('?' | 'h') | KeyCode::F(1) => Wish::Help,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_is_shown_does_something() {
        let pressed = |code| wish(KeyEvent::new(code, KeyModifiers::NONE));
        for key in KEYS {
            let code = match key.shown {
                "Enter" => KeyCode::Enter,
                "↑↓" => KeyCode::Up,
                letter => KeyCode::Char(letter.chars().next().expect("a key")),
            };
            assert!(pressed(code).is_some(), "{}", key.shown);
        }
        assert_eq!(pressed(KeyCode::Char('x')), None);
        let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(wish(control), Some(Wish::Quit));
    }
}
