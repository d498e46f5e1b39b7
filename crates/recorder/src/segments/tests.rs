use std::hint::black_box;

use ledger_writer::StackEnd;

use super::*;

const WORDS: usize = 512;

/// All ways to compare that this processor has, of walks through frame pointers and of ones through
/// unwind tables.
fn ways_to_compare(stacks: StackSource) -> Vec<Compare> {
    #[cfg(target_arch = "x86_64")]
    if !std::arch::is_x86_feature_detected!("avx2") {
        eprintln!("skipped: comparing segments with AVX2, which this processor does not have");
    }
    match stacks {
        StackSource::FramePointers => vec![is_linked_at, Segment::compare(stacks)],
        StackSource::UnwindTables => vec![is_spread_at, Segment::compare(stacks)],
    }
}

/// Words on this thread's stack, and which of them a walk has read.
struct Made<'a> {
    words: &'a mut [usize; WORDS],
    read: Vec<usize>,
}

impl Made<'_> {
    fn address(&self, at: usize) -> usize {
        self.words.as_ptr() as usize + at * WORD
    }

    /// Frame records of different distances, as functions with frame pointers leave them.
    fn with_frame_pointers(words: &mut [usize; WORDS], frames: usize) -> (Made<'_>, Trace) {
        let mut made = Made { words, read: Vec::new() };
        let mut at = 0;
        for frame in 0..frames {
            let next = at + 2 + frame * 7 % 13;
            let is_last = frame + 1 == frames;
            made.words[at] = if is_last { 0 } else { made.address(next) };
            made.words[at + 1] = 0x40_0000 + frame * 0x1_0000_0010;
            // What the last frame pointer holds does not matter, as long as it leads nowhere.
            made.read.extend((at..at + 2).skip(usize::from(is_last)));
            at = next;
        }
        let mut trace = Trace::new();
        let frame = black_box(made.address(0));
        StackSource::FramePointers.walk(frame, Bounds::of_this_thread(), &mut trace);
        assert_eq!(trace.words(), frames);
        (made, trace)
    }

    /// Return addresses, below some of which lies a link, and below some two.
    fn with_links(words: &mut [usize; WORDS], frames: usize) -> (Made<'_>, Trace) {
        let mut made = Made { words, read: Vec::new() };
        let mut trace = Trace::new();
        let mut at = 1;
        for frame in 0..frames {
            for link in 0..frame % 3 {
                made.words[at + link] = made.address(at + 20 + link);
                trace.link(made.address(at + link), made.words[at + link]);
                made.read.push(at + link);
            }
            at += frame % 3;
            made.words[at] = 0x40_0000 + frame * 0x1_0000_0010;
            assert!(trace.push(made.words[at], made.address(at)));
            made.read.push(at);
            at += 1 + frame * 5 % 7;
        }
        trace.finish(StackEnd::Root);
        (made, trace)
    }

    /// Whether the words are of this shape now, as each way to compare says.
    fn is(&mut self, shape: Shape, segments: &Segments, stacks: StackSource) -> bool {
        let bounds = Bounds::of_this_thread();
        let frame = self.address(0);
        // What is compared is written before.
        black_box(&mut self.words);
        let answers = ways_to_compare(stacks).into_iter().map(|compare| {
            let source = Source { bounds, all: segments.all.start().cast(), compare };
            // SAFETY: a shape of these segments, and words of this thread's stack further out than
            // what it is in.
            unsafe { source.has(shape, frame) }
        });
        let answers: Vec<bool> = answers.collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        answers[0]
    }
}

/// Changes each word: those that the walk has read make another stack, others do not.
fn every_word_counts(stacks: StackSource, frames: usize) {
    let segments = Segments::for_sites(1_000).expect("some memory");
    let mut words = [0xdead_beef; WORDS];
    let (mut made, trace) = match stacks {
        StackSource::FramePointers => Made::with_frame_pointers(&mut words, frames),
        StackSource::UnwindTables => Made::with_links(&mut words, frames),
    };
    let shape = segments.of(made.address(0), &trace, |_| {}).expect("it can be recognised");
    assert!(made.is(shape, &segments, stacks), "{frames} frames");
    let last = made.read.iter().max().copied().expect("a word");
    for at in 0..=last {
        let was_read = made.read.contains(&at);
        for bit in [0, 3, 31, 32, 63] {
            made.words[at] ^= 1 << bit;
            let is = made.is(shape, &segments, stacks);
            made.words[at] ^= 1 << bit;
            // The last frame pointer is a question of its own, see below.
            let is_last_link = stacks == StackSource::FramePointers && at + 1 == last;
            assert!(is_last_link || is != was_read, "{frames} frames, word {at}, bit {bit}");
        }
    }
    assert!(made.is(shape, &segments, stacks), "all is as before");
    if stacks == StackSource::FramePointers {
        made.words[last - 1] = made.address(last + 40);
        assert!(!made.is(shape, &segments, stacks), "the walk would go on");
    }
}

#[test]
fn every_word_that_a_walk_through_frame_pointers_reads_counts() {
    (2..=30).for_each(|frames| every_word_counts(StackSource::FramePointers, frames));
}

#[test]
fn every_word_that_a_walk_through_unwind_tables_reads_counts() {
    (1..=30).for_each(|frames| every_word_counts(StackSource::UnwindTables, frames));
}

#[test]
fn stacks_share_the_segments_of_their_outer_frames() {
    let segments = Segments::for_sites(1_000).expect("some memory");
    let mut words = [0; WORDS];
    let (made, trace) = Made::with_frame_pointers(&mut words, 30);
    let whole = segments.of(made.address(0), &trace, |_| {}).expect("it can be recognised");
    let used = segments.used.load(Ordering::Relaxed);
    let mut part = Trace::new();
    let second = made.words[0];
    StackSource::FramePointers.walk(second, Bounds::of_this_thread(), &mut part);
    let part = segments.of(second, &part, |_| {}).expect("it can be recognised");
    assert_ne!(part.innermost, whole.innermost);
    assert_eq!(segments.used.load(Ordering::Relaxed), used + 1, "one with 1 frame, not 2");
}
