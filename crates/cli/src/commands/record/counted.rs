//! What is counted of a program: options of `tlsheap record`.

use clap::Args;
use ledger::Sampling;

use crate::values::sampling;

/// What is counted.
#[derive(Debug, Args)]
pub struct Counted {
    /// Count only a part of the blocks, one sample in BYTES bytes on average, as in --sample 64k:
    /// for programs in which counting every block takes too much time. Figures are estimates then,
    /// with their 95 % intervals, and neither connections nor mappings are counted
    /// (docs/sampling.md)
    #[arg(long, value_name = "BYTES", value_parser = sampling)]
    pub sample: Option<Sampling>,
    /// Count no more than this domain's memory. Otherwise all is counted that a program with
    /// OpenSSL and its libraries ask malloc for and map from the kernel: what one connection costs
    /// the whole process, what resident memory is, and `--domain heap` and `mapping` of top, diff
    /// and flame. Of a program that loads OpenSSL later, and is recorded until its end, that begins
    /// then
    #[arg(long, value_name = "DOMAIN", value_parser = ["openssl"])]
    pub only: Option<String>,
    /// Count all of that in any case: in programs without OpenSSL, and with --pid, from the attach
    /// on (docs/attach.md). The highest total that is looked at when a program has ended is then
    /// that of all its memory; otherwise it is OpenSSL's, with all else as it was at that moment
    #[arg(long, conflicts_with = "only")]
    pub heap: bool,
    /// Count Python's objects one by one, by who asks the interpreter for them, and not the arenas
    /// that they lie in: `--domain python` of top, diff and flame. It takes time, by half of what
    /// work on objects takes; in programs without OpenSSL together with --heap
    #[arg(long, conflicts_with_all = ["sample", "only"])]
    pub python: bool,
}
