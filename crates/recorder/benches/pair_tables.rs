//! Pairs of malloc and free whose stacks are read through unwind tables.

mod pairs;

fn main() {
    pairs::measure(recorder::StackSource::best());
}
