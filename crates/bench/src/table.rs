//! What was found, as a table of Markdown.

use crate::peers::Peer;
use crate::rounds::Found;

/// A table of ratios to bare.
pub fn table(title: &str, peers: &[Peer], found: &[Found]) -> String {
    let mut text = format!(
        "\n{title}\n\n| | processor time over bare | wall time over bare | us each | rounds | \
         peak MiB | output KiB |\n|---|---|---|---|---|---|---|\n"
    );
    for (peer, found) in peers.iter().zip(found) {
        if found.processor.is_empty() {
            continue;
        }
        text += &format!(
            "| {} | {} | {} | {:.0} | {} | {:.0} | {} |\n",
            peer.name(),
            spread(&found.processor),
            spread(&found.wall),
            quantile(&found.microseconds, 0.5),
            found.processor.len(),
            found.peak_kib as f64 / 1024.0,
            match found.output_bytes {
                0 => "–".to_owned(),
                bytes => format!("{}", bytes / 1024),
            },
        );
    }
    text
}

/// The median, with the quartiles.
pub fn spread(values: &[f64]) -> String {
    let [low, middle, high] = [0.25, 0.5, 0.75].map(|part| quantile(values, part));
    if middle < 10.0 {
        format!("{middle:.3} [{low:.3}–{high:.3}]")
    } else {
        format!("{middle:.1} [{low:.1}–{high:.1}]")
    }
}

/// The value below which a part of them lies, one of them.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    values.get((part * last).round() as usize).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_between_the_quartiles() {
        assert_eq!(spread(&[1.0, 5.0, 2.0, 4.0, 3.0]), "3.000 [2.000–4.000]");
        assert_eq!(spread(&[20.0]), "20.0 [20.0–20.0]");
    }
}
