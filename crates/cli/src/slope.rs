//! The line through several numbers of connections, in words.

use analysis::notation::{exact, one_decimal, rounded};
use capture::records::scale::{Scale, SiteSlope};
use report::medium::Medium;
use report::table;

/// Sites shown of a slope.
const SITES: usize = 10;

/// The line in words, and the sites that make it up.
pub fn describe(scale: &Scale, name: &str, medium: Medium) -> String {
    let at: Vec<String> = scale.connections.iter().map(u64::to_string).collect();
    let mut text = format!("\n{name}, at {} connections:\n", at.join(", "));
    for (what, fit, say) in [
        ("bytes", &scale.bytes, rounded as fn(f64) -> String),
        ("blocks", &scale.blocks, one_decimal),
    ] {
        text += &format!(
            "  {what:6} = {} + {} × N   (R² {:.5})\n",
            rounded(fit.fixed),
            say(fit.per_connection),
            fit.r_squared,
        );
    }
    let growing = scale.sites.iter().filter(|site| site.grows).count();
    text += &format!(
        "{growing} sites grow with N, {} are constant, {} change without rule\n",
        exact(scale.constant_sites as i64),
        scale.sites.len() - growing,
    );
    let shown: Vec<&SiteSlope> = scale.sites.iter().take(SITES).collect();
    let rows: Vec<Vec<String>> = shown.iter().map(|site| cells(site)).collect();
    let headings = ["bytes × N", "+ fixed", "R²", "with N", "category", "site"];
    text += &table::plain(&headings, &rows, medium);
    if scale.sites.len() > SITES {
        text += &format!("… and {} more\n", scale.sites.len() - SITES);
    }
    text
}

fn cells(site: &SiteSlope) -> Vec<String> {
    vec![
        rounded(site.bytes.per_connection),
        rounded(site.bytes.fixed),
        format!("{:.5}", site.bytes.r_squared),
        if site.grows { "grows" } else { "irregular" }.to_owned(),
        site.category.clone(),
        format!("{}:{}", site.file, site.line),
    ]
}
