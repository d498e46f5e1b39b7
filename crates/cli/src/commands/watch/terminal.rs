//! The screen on a terminal: keys, looks and signals as they come.
//!
//! One thread waits for keys, one looks, one waits for signals; this one draws. So a look that
//! takes long keeps no key waiting, and nothing is asked again and again.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use anyhow::Context;
use live::{Follower, LiveError, View};
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::signal::unix::{SignalKind, signal};

use super::draw::{Palette, draw};
use super::keys::wish;
use super::screen::{Screen, Then};
use super::{Shown, colour, lines};
use crate::failure::Failure;

/// What comes to the one who draws.
#[derive(Debug)]
enum Message {
    Input(Event),
    Looked {
        view: Result<Arc<View>, LiveError>,
        is_over: bool,
    },
    /// A signal that ends programs, or the terminal is gone.
    End,
}

/// What is asked of the one who looks.
enum Order {
    Pause,
    GoOn,
}

/// Shows it until somebody quits or all of it has ended; then what was seen last is printed.
pub fn run(
    follower: Follower,
    first: Arc<View>,
    every: Duration,
    shown: &Shown,
) -> Result<(), Failure> {
    match show(follower, first, every, shown, &Stop::default())? {
        Ended::Asked => Ok(()),
        Ended::Over(screen) => {
            let shown = Shown { rows: shown.rows, ..screen.shown };
            lines::print(&screen.looks, &shown, false)?;
            crate::output::print("What was watched has ended.")
        }
        Ended::Failed(error) => Err(error.into()),
    }
}

/// Takes the screen away from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Mutex<Stopping>>);

#[derive(Debug, Default)]
enum Stopping {
    #[default]
    NotYet,
    Shown(Sender<Message>),
    Stopped,
}

impl Stop {
    /// Takes it away now, or as soon as it is there.
    pub fn stop(&self) {
        if let Stopping::Shown(messages) = std::mem::replace(&mut *self.state(), Stopping::Stopped)
        {
            // It may have gone by itself.
            let _ = messages.send(Message::End);
        }
    }

    fn shows(&self, messages: Sender<Message>) {
        let mut state = self.state();
        match *state {
            Stopping::Stopped => drop(messages.send(Message::End)),
            _ => *state = Stopping::Shown(messages),
        }
    }

    fn state(&self) -> MutexGuard<'_, Stopping> {
        // Whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows it until somebody quits, `stop` is told to stop it, or all of it has ended. The terminal is
/// as it was then.
pub fn show(
    follower: Follower,
    first: Arc<View>,
    every: Duration,
    shown: &Shown,
    stop: &Stop,
) -> Result<Ended, Failure> {
    let mut screen = Screen::new(first, *shown);
    let (messages, inbox) = channel();
    let (orders, of_looker) = channel();
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
        Builder::new().name(name.to_owned()).spawn(work).context("cannot start a thread")
    };
    let (keys, signals) = (messages.clone(), messages.clone());
    // It restores the terminal when this thread panics.
    let mut terminal = ratatui::try_init().context("cannot draw on this terminal")?;
    let restored = Restored;
    stop.shows(messages.clone());
    spawn("looks", Box::new(move || look(follower, every, &of_looker, &messages)))?;
    spawn("keys", Box::new(move || read_keys(&keys)))?;
    spawn("signals", Box::new(move || wait_for_signals(&signals)))?;
    let palette = if colour() { Palette::Colours } else { Palette::Plain };
    let ended = loop {
        terminal
            .draw(|frame| draw(frame, &mut screen, palette))
            .context("cannot draw on this terminal")?;
        match inbox.recv() {
            Ok(Message::Input(Event::Key(key))) if key.kind != KeyEventKind::Release => {
                let was_paused = screen.is_paused;
                if wish(key).is_some_and(|wish| screen.press(wish) == Then::Quit) {
                    break Ended::Asked;
                }
                if was_paused != screen.is_paused {
                    // It is gone only with this thread.
                    let _ = orders.send(if screen.is_paused { Order::Pause } else { Order::GoOn });
                }
            }
            // A new size: it is drawn anew.
            Ok(Message::Input(_)) => {}
            Ok(Message::Looked { view, is_over }) => match view {
                Ok(view) if !is_over || !view.is_over() => {
                    screen.see(view);
                    if is_over {
                        break Ended::Over(Box::new(screen));
                    }
                }
                Ok(_) => break Ended::Over(Box::new(screen)),
                Err(error) => break Ended::Failed(error),
            },
            Ok(Message::End) | Err(_) => break Ended::Asked,
        }
    };
    drop(restored);
    Ok(ended)
}

/// Why it is not shown any more.
pub enum Ended {
    /// Somebody has quit, or a signal came.
    Asked,
    /// What is watched has ended, and this was shown last.
    Over(Box<Screen>),
    /// It cannot be looked at any more.
    Failed(LiveError),
}

/// Gives the terminal back as it was.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn look(
    mut follower: Follower,
    every: Duration,
    orders: &Receiver<Order>,
    messages: &Sender<Message>,
) {
    loop {
        match orders.recv_timeout(every) {
            Ok(Order::Pause) => match orders.recv() {
                Ok(_) => {}
                Err(_) => return,
            },
            Ok(Order::GoOn) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let view = follower.look();
        let is_over = view.is_err() || follower.is_over();
        if messages.send(Message::Looked { view, is_over }).is_err() || is_over {
            return;
        }
    }
}

fn read_keys(messages: &Sender<Message>) {
    while let Ok(event) = event::read() {
        if messages.send(Message::Input(event)).is_err() {
            return;
        }
    }
    // The terminal is gone. Where nobody listens any more, all is over already.
    let _ = messages.send(Message::End);
}

fn wait_for_signals(messages: &Sender<Message>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return;
    };
    runtime.block_on(async {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        let mut listeners = Vec::new();
        for kind in kinds {
            match signal(kind) {
                Ok(listener) => listeners.push(listener),
                Err(_) => return,
            }
        }
        let [terminate, interrupt, hang_up] = &mut listeners[..] else { return };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hang_up.recv() => {}
        }
        let _ = messages.send(Message::End);
    });
}
