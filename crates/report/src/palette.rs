//! Colours: one for each top-level group of categories, the same in every picture.

/// A colour in red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rgb(pub u8, pub u8, pub u8);

impl Rgb {
    /// The colour as CSS and SVG write it: `#f28e4b`.
    pub fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

/// Functions of the program in Rust or C, outside of OpenSSL.
pub const PROGRAM_CODE: Rgb = Rgb(0xcd, 0xcd, 0xc6);

/// Runtimes, the standard library, and wrappers around OpenSSL.
pub const RUNTIME_CODE: Rgb = Rgb(0xe4, 0xe4, 0xdf);

/// The colour of a top-level group, light enough for black text on it. Unknown groups, which
/// only a profile labelled by another version can have, look like `unknown`.
pub fn of_group(group: &str) -> Rgb {
    GROUPS.iter().find(|(name, _)| *name == group).map_or(UNKNOWN, |(_, colour)| *colour)
}

/// The colour of what memory over time is told with: a group's, and shades for what is mapped.
pub fn of_series(category: &str) -> Rgb {
    let shade = MAPPED.iter().find(|(name, _)| *name == category);
    shade.map_or_else(|| of_group(category), |(_, colour)| *colour)
}

const UNKNOWN: Rgb = Rgb(0xf0, 0xee, 0xe6);

/// In the order of the table of categories.
const GROUPS: &[(&str, Rgb)] = &[
    ("tls", Rgb(0x74, 0xab, 0xe0)),
    ("dtls", Rgb(0x62, 0xc4, 0xc4)),
    ("quic", Rgb(0x7f, 0xd6, 0xb4)),
    ("compression", Rgb(0xf5, 0x97, 0x4e)),
    ("x509", Rgb(0xe6, 0x7c, 0x7c)),
    ("pkey", Rgb(0xf2, 0xc7, 0x4f)),
    ("evp", Rgb(0xbd, 0xd4, 0x62)),
    ("provider", Rgb(0x86, 0xc4, 0x83)),
    ("rand", Rgb(0xa6, 0xd8, 0x9a)),
    ("bio", Rgb(0xb4, 0x9b, 0xdf)),
    ("containers", Rgb(0xcb, 0xae, 0x8c)),
    ("err", Rgb(0xe0, 0x8d, 0xb8)),
    ("process", Rgb(0x9c, 0xae, 0xc6)),
    ("crypto", Rgb(0x93, 0xb5, 0xa8)),
    ("program", Rgb(0xd8, 0xc9, 0xa8)),
    ("heap", Rgb(0xa3, 0xb8, 0xd8)),
    ("mapping", Rgb(0xc7, 0xa9, 0xb6)),
    ("python", Rgb(0x8f, 0xc9, 0xd9)),
    ("rust", Rgb(0xb9, 0xbc, 0xc4)),
    ("unknown", UNKNOWN),
];

/// Parts of what is mapped, those of a runtime's heap the strongest: in a picture they lie on each
/// other.
const MAPPED: &[(&str, Rgb)] = &[
    ("mapping.v8_young", Rgb(0xd3, 0x5f, 0x9c)),
    ("mapping.v8_old", Rgb(0xb5, 0x86, 0xc6)),
    ("mapping.v8_large", Rgb(0xe6, 0xa3, 0xc8)),
    ("mapping.v8_code", Rgb(0xcb, 0xb2, 0xe2)),
    ("mapping.v8_read_only", Rgb(0xe3, 0xcf, 0xdc)),
    ("mapping.v8", Rgb(0xd8, 0xb8, 0xd0)),
    ("mapping.python", Rgb(0xb0, 0xd8, 0xc8)),
    ("mapping.apr", Rgb(0xd9, 0xc4, 0xae)),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use analysis::category;

    use super::*;

    #[test]
    fn every_group_has_a_colour_of_its_own() {
        let listed: Vec<_> = GROUPS.iter().map(|(name, _)| *name).collect();
        let groups: Vec<_> = category::groups().map(|group| group.name).collect();
        assert_eq!(listed, groups);
        let colours: HashSet<_> = GROUPS.iter().map(|(_, colour)| colour.hex()).collect();
        assert_eq!(colours.len(), GROUPS.len());
    }

    #[test]
    fn every_series_over_time_has_a_colour_of_its_own() {
        let parts: Vec<_> = category::over_time()
            .map(|category| category.name)
            .filter(|name| name.contains('.'))
            .collect();
        assert_eq!(MAPPED.iter().map(|(name, _)| *name).collect::<Vec<_>>(), parts);
        let series: Vec<_> = category::over_time().collect();
        let colours: HashSet<_> = series.iter().map(|it| of_series(it.name).hex()).collect();
        assert_eq!(colours.len(), series.len());
    }

    #[test]
    fn black_text_is_readable_on_every_colour() {
        for (group, Rgb(r, g, b)) in GROUPS {
            let luminance = 299 * u32::from(*r) + 587 * u32::from(*g) + 114 * u32::from(*b);
            assert!(luminance > 140_000, "{group} is too dark: {luminance}");
        }
    }
}
