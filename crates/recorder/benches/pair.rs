//! Pairs of malloc and free whose stacks are read through frame pointers.

mod pairs;

fn main() {
    pairs::measure(recorder::StackSource::FramePointers);
}
