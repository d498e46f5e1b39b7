//! Memory over time is read or refused, and what was read can be drawn, or it is said why not.

use capture::timeline::parse;

use crate::Answer;

/// Reads a `timeline.csv`.
pub fn read(bytes: &[u8]) -> Answer {
    let Ok(text) = str::from_utf8(bytes) else { return Answer::Refused };
    match parse(text) {
        Ok(timeline) => {
            match report::timeline::timeline(&timeline, "fuzzed") {
                Ok(svg) => {
                    for nowhere in ["NaN,", ",NaN", "inf,", ",inf", "\"NaN\"", "\"inf\""] {
                        assert!(!svg.contains(nowhere), "{nowhere} in {svg}");
                    }
                }
                Err(why) => assert!(!why.to_string().is_empty()),
            }
            Answer::Read
        }
        Err(why) => {
            assert!(!why.is_empty());
            Answer::Refused
        }
    }
}

/// The table of a run, and one of estimates.
pub fn seeds() -> Vec<Vec<u8>> {
    let estimates = "seconds,phase,connections,rss,tls,rust,tls_margin95,rust_margin95,\
        openssl_margin95\n0.0,baseline,0,100,7,5,1,2,1\n0.25,hold,2,200,8,6,1,2,1\n\
        0.5,hold,2,200,8,6,1,2,1\n";
    // As much of the run's as shows all of its columns.
    let run = crate::seeds::reference("tls13/timeline.csv");
    let run: Vec<&[u8]> = run.split_inclusive(|byte| *byte == b'\n').take(12).collect();
    vec![run.concat(), estimates.as_bytes().to_vec()]
}
