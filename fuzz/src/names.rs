//! Any symbol has a readable name, in whatever scheme it is written.

use profile::symbols::readable_name;

use crate::Answer;

/// Reads each line as the name of a symbol.
pub fn read(bytes: &[u8]) -> Answer {
    for symbol in String::from_utf8_lossy(bytes).lines() {
        readable_name(symbol, None);
    }
    Answer::Read
}

/// Names of Rust, old and new, of C++ and of C.
pub fn seeds() -> Vec<Vec<u8>> {
    let rust = "_ZN4core3fmt5write17h0123456789abcdefE\n_RNvC5mycrt4main\n\
        _RINvNtC3std3mem8align_ofdE\n_RNvXs0_C7mycrateNtB5_3FooNtB5_5Trait4func\n\
        _RNCNvC7mycrate3foos_0\n_RNvMNtCs1234_7mycrate3fooINtB2_3BarpE3baz\n";
    let others = "_ZN3foo3barEi\n_ZNSt6vectorIiSaIiEE9push_backERKi\n\
        _ZNKSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEE4findEPKcmm\n\
        _ZZN1a1bEvENKUlT_E_clIiEEDaS0_\nCRYPTO_malloc\n";
    [rust, others].map(|text| text.as_bytes().to_vec()).into()
}
