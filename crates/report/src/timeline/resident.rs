//! Resident memory between the moments at which it was read.

use analysis::timeline::Timeline;

/// Resident memory at each moment that is known or lies between two that are: it is read less often
/// where that takes long, and goes straight from one reading to the next. Where nothing is held
/// nothing ran, and nothing is said.
pub(super) fn connected(timeline: &Timeline) -> Vec<Option<u64>> {
    let is_held = |at: usize| timeline.series.iter().any(|series| series.bytes[at] > 0);
    let mut all = timeline.rss.clone();
    let known: Vec<usize> = (0..all.len()).filter(|at| all[*at].is_some()).collect();
    for pair in known.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let (Some(before), Some(after)) = (all[from], all[to]) else { continue };
        if !(from + 1..to).all(is_held) {
            continue;
        }
        let time = timeline.seconds[to] - timeline.seconds[from];
        let seconds = &timeline.seconds[from + 1..to];
        for (between, seconds) in all[from + 1..to].iter_mut().zip(seconds) {
            let part = (seconds - timeline.seconds[from]) / time;
            *between = Some((before as f64 + (after as f64 - before as f64) * part) as u64);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use analysis::over_time::Series;

    use super::*;

    fn of(rss: Vec<Option<u64>>, bytes: Vec<u64>) -> Timeline {
        Timeline {
            seconds: (0..rss.len()).map(|at| at as f64).collect(),
            rss,
            series: vec![Series { group: "tls".to_owned(), bytes, margins: None }],
            ..Timeline::default()
        }
    }

    #[test]
    fn what_was_not_read_lies_between_what_was() {
        let rss = vec![None, Some(100), None, None, Some(400), None];
        let timeline = of(rss, vec![5; 6]);
        let all = [None, Some(100), Some(200), Some(300), Some(400), None];
        assert_eq!(connected(&timeline), all, "nothing is said of before and after");
    }

    #[test]
    fn where_nothing_ran_there_is_nothing() {
        let rss = vec![Some(100), None, Some(100)];
        assert_eq!(connected(&of(rss.clone(), vec![5, 0, 5])), rss);
    }
}
