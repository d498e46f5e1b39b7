//! What grows with the number of connections: bytes = fixed + per connection × connections.

use std::collections::BTreeMap;

use crate::group::{Counts, Key, Row};

/// A straight line through captures at several numbers of connections, by least squares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// What is there without any connection.
    pub fixed: f64,
    /// What each connection adds.
    pub per_connection: f64,
    /// The part of the variation that the line explains, from 0 to 1; 1 when there is none.
    pub r_squared: f64,
}

/// Whether a site grows with the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// The site holds more at each larger number of connections.
    Grows,
    /// The site does not change beyond what one connection more or less would explain.
    Constant,
    /// The site changes, but not with the connections.
    Irregular,
}

/// One site over the captures.
#[derive(Clone, Debug, PartialEq)]
pub struct SlopeRow {
    /// What the row stands for.
    pub key: Key,
    /// Bytes in use.
    pub bytes: Fit,
    /// Blocks in use.
    pub blocks: Fit,
    /// Judged by the bytes.
    pub growth: Growth,
}

/// Rows of several captures of one server, each at its own number of connections.
#[derive(Clone, Debug, PartialEq)]
pub struct Slopes {
    /// All bytes in use.
    pub bytes: Fit,
    /// All blocks in use.
    pub blocks: Fit,
    /// By row, the largest slope first.
    pub rows: Vec<SlopeRow>,
}

/// One capture: its connections and its rows, grouped like those of the others.
pub type Capture = (u64, Vec<Row>);

/// Fits every row and the total. `None` with fewer than two different numbers of connections.
pub fn slopes(captures: &[Capture]) -> Option<Slopes> {
    let numbers: Vec<u64> = captures.iter().map(|(connections, _)| *connections).collect();
    let figures = |of: fn(&Counts) -> Option<i64>| -> BTreeMap<&Key, Vec<i64>> {
        let mut series: BTreeMap<&Key, Vec<i64>> = BTreeMap::new();
        for (at, (_, rows)) in captures.iter().enumerate() {
            for row in rows {
                let values = series.entry(&row.key).or_insert_with(|| vec![0; captures.len()]);
                values[at] = of(&row.counts).unwrap_or_default();
            }
        }
        series
    };
    let bytes = figures(|counts| counts.inuse_bytes);
    let blocks = figures(|counts| counts.inuse_blocks);
    let mut rows = Vec::new();
    for (key, values) in &bytes {
        rows.push(SlopeRow {
            key: (*key).clone(),
            bytes: fit(&numbers, values)?,
            blocks: fit(&numbers, &blocks[*key])?,
            growth: growth(&numbers, values),
        });
    }
    rows.sort_by(|a, b| b.bytes.per_connection.total_cmp(&a.bytes.per_connection));
    Some(Slopes {
        bytes: fit(&numbers, &sum(&bytes, captures.len()))?,
        blocks: fit(&numbers, &sum(&blocks, captures.len()))?,
        rows,
    })
}

/// The line through `(connections, value)`. `None` with fewer than two different connections.
pub fn fit(connections: &[u64], values: &[i64]) -> Option<Fit> {
    let n = connections.len() as f64;
    let mean_x = connections.iter().map(|x| *x as f64).sum::<f64>() / n;
    let mean_y = values.iter().map(|y| *y as f64).sum::<f64>() / n;
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in connections.iter().zip(values) {
        let (dx, dy) = (*x as f64 - mean_x, *y as f64 - mean_y);
        xx += dx * dx;
        xy += dx * dy;
        yy += dy * dy;
    }
    if xx == 0.0 || connections.is_empty() {
        return None;
    }
    let per_connection = xy / xx;
    let r_squared = if yy == 0.0 { 1.0 } else { (xy * xy) / (xx * yy) };
    Some(Fit { fixed: mean_y - per_connection * mean_x, per_connection, r_squared })
}

fn sum(series: &BTreeMap<&Key, Vec<i64>>, length: usize) -> Vec<i64> {
    series.values().fold(vec![0; length], |mut sums, values| {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += value;
        }
        sums
    })
}

fn growth(connections: &[u64], values: &[i64]) -> Growth {
    let mut points: Vec<(u64, i64)> =
        connections.iter().copied().zip(values.iter().copied()).collect();
    points.sort_unstable();
    points.dedup();
    let pairs = || points.windows(2).filter(|pair| pair[0].0 < pair[1].0);
    if values.iter().all(|value| *value == values[0]) {
        Growth::Constant
    } else if pairs().all(|pair| pair[0].1 < pair[1].1) {
        Growth::Grows
    } else {
        Growth::Irregular
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::group::{By, group};
    use crate::sample_profile::{push, stack};

    fn capture(connections: u64, sites: &[(&str, i64)]) -> Capture {
        let mut profile = profile::Profile::of_heap();
        for (file, bytes) in sites {
            push(&mut profile, "openssl", &stack(&[("f", file)]), 1, *bytes);
        }
        (connections, group(&profile, By::Site))
    }

    #[test]
    fn fixed_memory_and_slope_are_told_apart() {
        let slopes = slopes(&[
            capture(50, &[("ssl/a.c", 1_000 + 50 * 16), ("crypto/once.c", 5_000)]),
            capture(100, &[("ssl/a.c", 1_000 + 100 * 16), ("crypto/once.c", 5_000)]),
            capture(200, &[("ssl/a.c", 1_000 + 200 * 16), ("crypto/once.c", 5_000)]),
        ])
        .expect("three numbers of connections");
        assert_eq!(slopes.rows[0].key.file, "ssl/a.c");
        assert_eq!(slopes.rows[0].growth, Growth::Grows);
        assert!((slopes.rows[0].bytes.per_connection - 16.0).abs() < 1e-9);
        assert!((slopes.rows[0].bytes.fixed - 1_000.0).abs() < 1e-6);
        assert_eq!(slopes.rows[1].growth, Growth::Constant);
        assert!((slopes.bytes.fixed - 6_000.0).abs() < 1e-6);
        assert!((slopes.bytes.r_squared - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_site_that_only_the_larger_captures_have_counts_as_zero_before() {
        let slopes = slopes(&[capture(1, &[]), capture(2, &[("ssl/late.c", 10)])])
            .expect("two numbers of connections");
        assert_eq!(slopes.rows[0].growth, Growth::Grows);
        assert!((slopes.rows[0].bytes.per_connection - 10.0).abs() < 1e-9);
    }

    #[test]
    fn one_number_of_connections_makes_no_line() {
        assert_eq!(slopes(&[capture(5, &[("a.c", 1)]), capture(5, &[("a.c", 2)])]), None);
        assert_eq!(fit(&[], &[]), None);
    }

    proptest! {
        #[test]
        fn the_slopes_of_the_sites_add_up_to_that_of_the_total(
            values in proptest::collection::vec((0_i64..1 << 30, 0_i64..1 << 30), 3),
        ) {
            let captures: Vec<Capture> = values
                .iter()
                .enumerate()
                .map(|(at, (a, b))| capture(50 << at, &[("a.c", *a), ("b.c", *b)]))
                .collect();
            let slopes = slopes(&captures).expect("three numbers of connections");
            let sum: f64 = slopes.rows.iter().map(|row| row.bytes.per_connection).sum();
            prop_assert!((sum - slopes.bytes.per_connection).abs() < 1e-3);
        }
    }
}
