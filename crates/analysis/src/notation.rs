//! How figures are written for people: exact with separators in tables, short in sentences.

use profile::Sampling;

/// A whole number with separators: `583,312`.
///
/// ```
/// assert_eq!(analysis::notation::exact(583_312), "583,312");
/// ```
pub fn exact(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A figure rounded to a whole number, with separators.
pub fn rounded(figure: f64) -> String {
    exact(figure.round() as i64)
}

/// A figure with one decimal: `13.0`.
pub fn one_decimal(figure: f64) -> String {
    let tenths = (figure * 10.0).round() as i64;
    let sign = if tenths < 0 && tenths > -10 { "-" } else { "" };
    format!("{sign}{}.{}", exact(tenths / 10), (tenths % 10).abs())
}

/// A figure, and where it is an estimate, half the width of its 95 % interval: `617,466 ± 41,200`.
pub fn give_or_take(figure: f64, margin: Option<f64>, say: impl Fn(f64) -> String) -> String {
    match margin {
        None => say(figure),
        Some(margin) => format!("{} ± {}", say(figure), say(margin)),
    }
}

/// A share of the whole, and where it is an estimate, half the width of its 95 % interval in points
/// of percent: `47.5 ± 3.3 %`.
pub fn percent_give_or_take(share: f64, margin: Option<f64>) -> String {
    let margin = margin.map(|margin| margin * 100.0);
    format!("{} %", give_or_take(share * 100.0, margin, one_decimal))
}

/// The average distance between samples: `64 KiB`.
pub fn interval(sampling: Sampling) -> String {
    match sampling.interval() {
        bytes if bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
        bytes if bytes % (1 << 10) == 0 => format!("{} KiB", bytes >> 10),
        bytes => format!("{} bytes", exact(bytes as i64)),
    }
}

/// A figure rounded to a whole number with its sign: `+1,024`, `-16,716`, and `0`.
pub fn signed(figure: f64) -> String {
    let text = rounded(figure);
    if figure.round() > 0.0 { format!("+{text}") } else { text }
}

/// A share of the whole: `88.9 %` for 0.889.
pub fn percent(share: f64) -> String {
    format!("{} %", one_decimal(share * 100.0))
}

/// Bytes for a sentence, in three or four digits: `44 B`, `583.3 KB`, `1.2 MB`. KB is 1,000 bytes.
///
/// ```
/// assert_eq!(analysis::notation::human(583_312.0), "583.3 KB");
/// ```
pub fn human(bytes: f64) -> String {
    let units = ["B", "KB", "MB", "GB", "TB", "PB", "EB"];
    let mut size = bytes;
    let mut unit = 0;
    // 999.95 and more would round up to 1000.0.
    while size.abs() >= 999.95 && unit + 1 < units.len() {
        size /= 1_000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{} B", rounded(size))
    } else {
        format!("{} {}", one_decimal(size), units[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_stand_between_thousands() {
        let numbers = [0, 7, 999, 1_000, 583_312, 1_241_868, -1_000, i64::MIN];
        assert_eq!(
            numbers.map(exact),
            [
                "0",
                "7",
                "999",
                "1,000",
                "583,312",
                "1,241,868",
                "-1,000",
                "-9,223,372,036,854,775,808"
            ]
        );
    }

    #[test]
    fn an_estimate_says_how_far_off_it_may_be() {
        assert_eq!(give_or_take(617_466.0, Some(41_200.4), rounded), "617,466 ± 41,200");
        assert_eq!(give_or_take(617_466.0, None, rounded), "617,466");
    }

    #[test]
    fn small_negative_figures_keep_their_sign() {
        assert_eq!(one_decimal(-0.5), "-0.5");
        assert_eq!(one_decimal(-13.04), "-13.0");
        assert_eq!(one_decimal(1_234.56), "1,234.6");
        assert_eq!(one_decimal(-0.04), "0.0");
    }

    #[test]
    fn changes_carry_a_sign_and_no_change_has_none() {
        assert_eq!([12.4, -12.6, 0.3, -0.3].map(signed), ["+12", "-13", "0", "0"]);
    }

    #[test]
    fn sentences_get_short_decimal_units() {
        let sizes =
            [0.0, 44.0, 999.0, 999.96, 1_000.0, 583_312.0, 999_960.0, 1_241_868.0, -61_301.0];
        assert_eq!(
            sizes.map(human),
            [
                "0 B", "44 B", "999 B", "1.0 KB", "1.0 KB", "583.3 KB", "1.0 MB", "1.2 MB",
                "-61.3 KB"
            ]
        );
    }

    #[test]
    fn a_share_is_said_in_percent() {
        assert_eq!(percent(0.8894), "88.9 %");
        assert_eq!(percent_give_or_take(0.8894, None), percent(0.8894));
        assert_eq!(percent_give_or_take(0.8894, Some(0.0149)), "88.9 ± 1.5 %");
    }
}
