//! What comes behind the question mark of a URL.

/// The value of a parameter: the first, as Go has it. None of ours holds anything that would have
/// to be decoded.
pub(crate) fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    let pairs = query.unwrap_or_default().split('&');
    let mut pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_name_counts() {
        let query = Some("debug=1&seconds=5&gc=&seconds=7&flag");
        assert_eq!(parameter(query, "seconds"), Some("5"));
        assert_eq!((parameter(query, "gc"), parameter(query, "flag")), (Some(""), Some("")));
        assert_eq!((parameter(query, "second"), parameter(None, "debug")), (None, None));
    }
}
