//! What the screen shows, and what keys make of it. Nothing here knows a terminal.

use std::sync::Arc;

use analysis::group::{By, Key};
use contract::Domain;
use live::{LiveRow, Order, RowStack, View};

use super::keys::Wish;
use super::{Chosen, Looks, Shown};

/// The screen.
pub struct Screen {
    pub looks: Looks,
    /// The first look, which changes are counted from unless there is a mark.
    first: Arc<View>,
    pub shown: Shown,
    pub rows: Vec<LiveRow>,
    /// The chosen row; it stays the same when rows change their order.
    chosen: Option<Key>,
    /// The first row that is seen.
    pub top: usize,
    /// Rows for which there is room.
    room: usize,
    pub opened: Option<Opened>,
    /// Growth is counted from a mark, and not from the first look.
    pub has_mark: bool,
    pub is_paused: bool,
    pub has_help: bool,
}

/// A row that is opened.
pub struct Opened {
    pub key: Key,
    pub stacks: Vec<RowStack>,
    /// The first line that is seen.
    pub top: usize,
    /// How many lines there are.
    pub lines: usize,
}

/// What is to be done beside drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    GoOn,
    Quit,
}

impl Screen {
    pub fn new(first: Arc<View>, shown: Shown) -> Screen {
        let mut screen = Screen {
            looks: Looks::begin(Arc::clone(&first)),
            first,
            shown,
            rows: Vec::new(),
            chosen: None,
            top: 0,
            room: 1,
            opened: None,
            has_mark: false,
            is_paused: false,
            has_help: false,
        };
        screen.renew();
        screen
    }

    /// Another look.
    pub fn see(&mut self, view: Arc<View>) {
        // A mark and the first look stay as they are.
        self.looks.add(view);
        self.renew();
    }

    /// There is room for so many rows.
    pub fn resize(&mut self, room: usize) {
        self.room = room.max(1);
        self.keep_in_sight();
    }

    /// The domain that is shown; `None` for all.
    pub fn domain(&self) -> Option<Domain> {
        self.shown.domain_of(&self.looks.now)
    }

    /// The place of the chosen row.
    pub fn at(&self) -> usize {
        let chosen = self.chosen.as_ref();
        chosen.and_then(|key| self.rows.iter().position(|row| row.key == *key)).unwrap_or_default()
    }

    /// Does what a key asks for.
    pub fn press(&mut self, wish: Wish) -> Then {
        if self.has_help && wish != Wish::Quit {
            self.has_help = false;
            return Then::GoOn;
        }
        match wish {
            Wish::Quit => return Then::Quit,
            Wish::Up => self.go(-1),
            Wish::Down => self.go(1),
            Wish::PageUp => self.go(-(self.room as isize)),
            Wish::PageDown => self.go(self.room as isize),
            Wish::First => self.go(isize::MIN),
            Wish::Last => self.go(isize::MAX),
            Wish::Open => self.open(),
            Wish::Back => self.opened = None,
            Wish::NextOrder => self.order_by(self.next_order()),
            Wish::GrowthFirst => self.order_by(Order::Change),
            Wish::NextBy => {
                self.shown.by = next(&BYS, self.shown.by);
                (self.opened, self.chosen, self.top) = (None, None, 0);
                self.renew();
            }
            Wish::NextDomain => self.next_domain(),
            Wish::Mark => {
                self.looks.since = Arc::clone(&self.looks.now);
                self.has_mark = true;
                self.renew();
            }
            Wish::SinceStart => {
                self.looks.since = Arc::clone(&self.first);
                self.has_mark = false;
                self.renew();
            }
            Wish::Pause => self.is_paused = !self.is_paused,
            Wish::Help => self.has_help = true,
        }
        Then::GoOn
    }

    /// The next column's: what is not known of any row has none.
    fn next_order(&self) -> Order {
        let order = next(&Order::ALL, self.shown.order);
        let is_known = self.rows.iter().any(|row| row.bytes_per_connection.is_some());
        match order {
            Order::PerConnection if !is_known => next(&Order::ALL, order),
            order => order,
        }
    }

    fn order_by(&mut self, order: Order) {
        self.shown.order = order;
        // Who asks for an order wants to see its beginning.
        (self.chosen, self.top) = (None, 0);
        self.renew();
    }

    fn next_domain(&mut self) {
        let present = self.looks.now.totals.keys().copied().map(Chosen::One);
        let all: Vec<Chosen> = present.chain([Chosen::All]).collect();
        let now = self.domain().map_or(Chosen::All, Chosen::One);
        self.shown.domain = Some(next(&all, now));
        (self.opened, self.chosen, self.top) = (None, None, 0);
        self.renew();
    }

    fn renew(&mut self) {
        self.rows = self.looks.comparison().rows(self.shown.by, self.domain(), self.shown.order);
        if let Some(opened) = &mut self.opened {
            opened.stacks = self.looks.now.stacks(self.shown.by, &opened.key);
        }
        self.keep_in_sight();
    }

    fn go(&mut self, step: isize) {
        if let Some(opened) = &mut self.opened {
            let last = opened.lines.saturating_sub(self.room);
            opened.top = moved(opened.top, step).min(last);
            return;
        }
        let last = self.rows.len().saturating_sub(1);
        let to = moved(self.at(), step).min(last);
        self.chosen = self.rows.get(to).map(|row| row.key.clone());
        self.keep_in_sight();
    }

    fn open(&mut self) {
        if self.opened.is_some() {
            return;
        }
        let Some(row) = self.rows.get(self.at()) else { return };
        let key = row.key.clone();
        let stacks = self.looks.now.stacks(self.shown.by, &key);
        self.chosen = Some(key.clone());
        self.opened = Some(Opened { key, stacks, top: 0, lines: 0 });
    }

    fn keep_in_sight(&mut self) {
        let at = self.at();
        let first = (at + 1).saturating_sub(self.room);
        self.top = self.top.clamp(first, at.max(first)).min(self.rows.len().saturating_sub(1));
    }
}

const BYS: [By; 4] = [By::Site, By::Function, By::File, By::Category];

/// The one behind `now`, round and round.
fn next<T: Copy + PartialEq>(all: &[T], now: T) -> T {
    let at = all.iter().position(|one| *one == now).map_or(0, |at| (at + 1) % all.len());
    all[at]
}

fn moved(from: usize, step: isize) -> usize {
    from.saturating_add_signed(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_one_comes_round_and_places_stay_within() {
        assert_eq!(next(&BYS, By::Category), By::Site);
        assert_eq!(next(&Order::ALL, Order::Bytes), Order::Blocks);
        assert_eq!(moved(3, isize::MIN), 0);
        assert_eq!(moved(3, isize::MAX).min(9), 9);
    }
}
