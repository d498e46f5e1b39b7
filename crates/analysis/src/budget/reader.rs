//! From TOML to a [`Budget`].

use std::ops::Range;

use contract::Domain;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{BudgetError, nearest};
use super::limit::{Budget, Figure, Limit, Most, Scope};
use crate::category;
use crate::diagnosis::every_rule;
use crate::objects::Object;

/// The tables of a budget.
const TABLES: [&str; 9] = [
    "baseline", "total", "resident", "domain", "category", "site", "function", "objects",
    "findings",
];

/// Domains that have a table of their own: what OpenSSL asks for is the total.
const DOMAINS: [Domain; 3] = [Domain::Heap, Domain::Mapping, Domain::Python];

/// How a limit may be written.
const LIMIT: &str = "a number of at least 0, or \"baseline + 5 %\", or \"baseline + 100\"";

/// A key with its place, and its value with its own.
type Entry<'a> = (&'a str, Range<usize>, &'a Spanned<DeValue<'a>>);

pub(super) fn read(text: &str, file: &str) -> Result<Budget, BudgetError> {
    let reader = Reader { text, file };
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().unwrap_or_default();
        reader.error(at, "", "TOML", error.message().to_owned())
    })?;
    let mut budget = Budget::default();
    for (key, at, value) in entries(table.get_ref()) {
        reader.section(&mut budget, key, at, value)?;
    }
    // The tables of a document come sorted by name; the user has them in the file's order.
    budget.limits.sort_by_key(|limit| limit.line);
    if budget.limits.is_empty() && budget.allowed_findings.is_none() {
        let expected = "at least one limit, in [total] for example";
        return Err(reader.error(0..0, "", expected, "none".to_owned()));
    }
    let compares = |limit: &&Limit| !matches!(limit.most, Most::Absolute(_));
    if budget.baseline.is_none()
        && let Some(limit) = budget.limits.iter().find(compares)
    {
        let at = text.lines().take(limit.line - 1).map(|line| line.len() + 1).sum::<usize>();
        let expected = "a table [baseline] with a profile to compare with";
        let key = format!("{}.{}", limit.scope.name(), limit.figure.key());
        return Err(reader.error(at..at, &key, expected, "a limit against it alone".to_owned()));
    }
    Ok(budget)
}

/// What a table is about, and the figures that it may limit.
struct Of<'a> {
    scope: Scope,
    figures: &'a [Figure],
}

struct Reader<'a> {
    text: &'a str,
    file: &'a str,
}

impl Reader<'_> {
    fn section(
        &self,
        budget: &mut Budget,
        key: &str,
        at: Range<usize>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), BudgetError> {
        match key {
            "baseline" => {
                let table = self.table(key, value)?;
                for (name, at, value) in entries(table) {
                    match name {
                        "profile" => {
                            budget.baseline = Some(self.text_of("baseline.profile", value)?);
                        }
                        _ => return Err(self.unknown_key(at, key, name, ["profile"].into_iter())),
                    }
                }
                if budget.baseline.is_none() {
                    let expected = "the key profile, the path of a capture";
                    return Err(self.error(value.span(), key, expected, "no such key".to_owned()));
                }
            }
            "total" => self.limits(budget, &Scope::Total, "total", value)?,
            "resident" => {
                let whole = Of { scope: Scope::Resident, figures: &Figure::OF_RESIDENT };
                self.limits_of(budget, &whole, "resident", value)?;
            }
            "domain" => {
                for (name, at, value) in entries(self.table(key, value)?) {
                    let Some(domain) = DOMAINS.into_iter().find(|it| it.word() == name) else {
                        let known = DOMAINS.into_iter().map(Domain::word);
                        return Err(self.unknown_key(at, key, name, known));
                    };
                    let of = Of { scope: Scope::Domain(domain), figures: &Figure::OF_DOMAINS };
                    self.limits_of(budget, &of, &format!("domain.{name}"), value)?;
                }
            }
            "category" => {
                for (name, at, value) in entries(self.table(key, value)?) {
                    if category::by_name(name).is_none() {
                        let known = category::all().iter().map(|category| category.name);
                        let mut error = self.unknown_key(at, key, name, known);
                        error.expected = "the name of a category".into();
                        return Err(error);
                    }
                    let scope = Scope::Category(name.to_owned());
                    self.limits(budget, &scope, &format!("category.{name}"), value)?;
                }
            }
            "site" => {
                for (name, at, value) in entries(self.table(key, value)?) {
                    if !is_site(name) {
                        let expected = "a site, as in [site.\"ssl/ssl_lib.c:4234\"]";
                        return Err(self.error(at, key, expected, quote(name)));
                    }
                    let scope = Scope::Site(name.to_owned());
                    self.limits(budget, &scope, &format!("site.{name}"), value)?;
                }
            }
            "function" => {
                for (name, _, value) in entries(self.table(key, value)?) {
                    let scope = Scope::Function(name.to_owned());
                    self.limits(budget, &scope, &format!("function.{name}"), value)?;
                }
            }
            "objects" => {
                for (name, at, value) in entries(self.table(key, value)?) {
                    let object = Object::ALL.into_iter().find(|object| object.name() == name);
                    let Some(object) = object else {
                        let known = Object::ALL.into_iter().map(Object::name);
                        return Err(self.unknown_key(at, key, name, known));
                    };
                    budget.limits.push(Limit {
                        scope: Scope::Objects(object),
                        figure: Figure::ObjectsPerConnection,
                        most: self.most(&format!("objects.{name}"), value)?,
                        line: self.place(at.start).0,
                    });
                }
            }
            "findings" => self.findings(budget, value)?,
            _ => return Err(self.unknown_key(at, "", key, TABLES.into_iter())),
        }
        Ok(())
    }

    /// The figures of a table of OpenSSL's memory.
    fn limits(
        &self,
        budget: &mut Budget,
        scope: &Scope,
        path: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), BudgetError> {
        let of = Of { scope: scope.clone(), figures: &Figure::KEYS };
        self.limits_of(budget, &of, path, value)
    }

    /// The figures of one table.
    fn limits_of(
        &self,
        budget: &mut Budget,
        of: &Of<'_>,
        path: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), BudgetError> {
        for (name, at, value) in entries(self.table(path, value)?) {
            let Some(figure) = of.figures.iter().copied().find(|figure| figure.key() == name)
            else {
                let known = of.figures.iter().copied().map(Figure::key);
                return Err(self.unknown_key(at, path, name, known));
            };
            budget.limits.push(Limit {
                scope: of.scope.clone(),
                figure,
                most: self.most(&format!("{path}.{name}"), value)?,
                line: self.place(at.start).0,
            });
        }
        Ok(())
    }

    fn findings(
        &self,
        budget: &mut Budget,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), BudgetError> {
        for (name, at, value) in entries(self.table("findings", value)?) {
            if name != "allow" {
                return Err(self.unknown_key(at, "findings", name, ["allow"].into_iter()));
            }
            let key = "findings.allow";
            let DeValue::Array(array) = value.get_ref() else {
                let expected = "a list of findings, as in [\"record-buffers-kept\"]";
                return Err(self.error(value.span(), key, expected, kind(value.get_ref())));
            };
            let mut allowed = Vec::new();
            for element in array {
                let id = self.text_of(key, element)?;
                if !every_rule().any(|rule| rule.id == id) {
                    let mut error =
                        self.error(element.span(), key, "the name of a finding", quote(&id));
                    error.nearest = nearest(&id, every_rule().map(|rule| rule.id));
                    return Err(error);
                }
                allowed.push(id);
            }
            budget.allowed_findings = Some(allowed);
        }
        Ok(())
    }

    fn most(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Most, BudgetError> {
        let most = match value.get_ref() {
            DeValue::Integer(number) if number.radix() == 10 => {
                number.as_str().parse().ok().map(Most::Absolute)
            }
            DeValue::Float(number) => number.as_str().parse().ok().map(Most::Absolute),
            DeValue::String(text) => against_baseline(text),
            _ => None,
        };
        let sound = |most: &Most| {
            let (Most::Absolute(number)
            | Most::BaselinePercent(number)
            | Most::BaselineMore(number)) = most;
            number.is_finite() && *number >= 0.0
        };
        most.filter(sound).ok_or_else(|| {
            let found = match value.get_ref() {
                DeValue::Integer(number) => number.to_string(),
                DeValue::Float(number) => number.to_string(),
                DeValue::String(text) => quote(text),
                other => kind(other),
            };
            self.error(value.span(), key, LIMIT, found)
        })
    }

    fn table<'a>(
        &self,
        key: &str,
        value: &'a Spanned<DeValue<'a>>,
    ) -> Result<&'a DeTable<'a>, BudgetError> {
        match value.get_ref() {
            DeValue::Table(table) => Ok(table),
            other => Err(self.error(value.span(), key, "a table", kind(other))),
        }
    }

    fn text_of(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<String, BudgetError> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text.clone().into_owned()),
            other => Err(self.error(value.span(), key, "a text in quotes", kind(other))),
        }
    }

    fn unknown_key<'a>(
        &self,
        at: Range<usize>,
        table: &str,
        found: &str,
        known: impl Iterator<Item = &'a str> + Clone,
    ) -> BudgetError {
        let all: Vec<&str> = known.clone().collect();
        let expected = match table {
            "" => format!("a table out of {}", all.join(", ")),
            _ => format!("a key out of {}", all.join(", ")),
        };
        let mut error = self.error(at, table, &expected, quote(found));
        error.nearest = nearest(found, known);
        error
    }

    fn error(&self, at: Range<usize>, key: &str, expected: &str, found: String) -> BudgetError {
        let (line, column) = self.place(at.start);
        BudgetError {
            file: self.file.into(),
            line,
            column,
            key: key.into(),
            expected: expected.into(),
            found: found.into(),
            nearest: None,
        }
    }

    /// Line and column of an offset, from 1.
    fn place(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// The entries of a table in the order of the file.
fn entries<'a>(table: &'a DeTable<'a>) -> Vec<Entry<'a>> {
    let mut all: Vec<Entry<'a>> =
        table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value)).collect();
    all.sort_by_key(|(_, at, _)| at.start);
    all
}

/// `baseline + 5 %` or `baseline + 100`; `baseline` alone is `baseline + 0`.
fn against_baseline(text: &str) -> Option<Most> {
    let rest = text.trim().strip_prefix("baseline")?.trim();
    if rest.is_empty() {
        return Some(Most::BaselineMore(0.0));
    }
    let more = rest.strip_prefix('+')?.trim();
    match more.strip_suffix('%') {
        Some(percent) => percent.trim().parse().ok().map(Most::BaselinePercent),
        None => more.replace('_', "").parse().ok().map(Most::BaselineMore),
    }
}

fn is_site(name: &str) -> bool {
    name.rsplit_once(':')
        .is_some_and(|(file, line)| !file.is_empty() && line.parse::<u32>().is_ok())
}

/// How much of a foreign text an error quotes, in characters.
const QUOTED: usize = 60;

fn quote(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

fn kind(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(true) => "true",
        DeValue::Boolean(false) => "false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
[baseline]
profile = \"main\"

[total]
bytes_per_connection = 57_000
allocations_per_handshake = \"baseline + 5 %\"

[category.\"tls.record_buffers\"]
bytes_per_connection = 0

[site.\"ssl/ssl_lib.c:4234\"]
blocks = \"baseline + 1_000\"

[function.SSL_CTX_new_ex]
blocks_per_connection = 0.5

[objects]
SSL_CTX = 0.1

[findings]
allow = [\"record-buffers-kept\"]
";

    fn error(text: &str) -> String {
        Budget::parse(text, "budget.toml").unwrap_err().to_string()
    }

    #[test]
    fn every_kind_of_limit_is_read_in_the_order_of_the_file() {
        let budget = Budget::parse(GOOD, "budget.toml").unwrap();
        assert_eq!(budget.baseline.as_deref(), Some("main"));
        assert_eq!(budget.allowed_findings, Some(vec!["record-buffers-kept".to_owned()]));
        let limits: Vec<_> = budget
            .limits
            .iter()
            .map(|limit| (limit.line, limit.scope.name(), limit.figure, limit.most))
            .collect();
        assert_eq!(
            limits,
            [
                (5, "total".into(), Figure::BytesPerConnection, Most::Absolute(57_000.0)),
                (6, "total".into(), Figure::AllocationsPerHandshake, Most::BaselinePercent(5.0)),
                (
                    9,
                    "category tls.record_buffers".into(),
                    Figure::BytesPerConnection,
                    Most::Absolute(0.0)
                ),
                (12, "site ssl/ssl_lib.c:4234".into(), Figure::Blocks, Most::BaselineMore(1_000.0)),
                (
                    15,
                    "function SSL_CTX_new_ex".into(),
                    Figure::BlocksPerConnection,
                    Most::Absolute(0.5)
                ),
                (18, "SSL_CTX".into(), Figure::ObjectsPerConnection, Most::Absolute(0.1)),
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place_and_the_right_word() {
        for (text, message) in [
            (
                "[totals]\nbytes = 1\n",
                "budget.toml:1:2: expected a table out of baseline, total, resident, domain, \
                 category, site, function, objects, findings, found \"totals\" (did you mean total?)",
            ),
            (
                "[total]\nbyte_per_connection = 1\n",
                "budget.toml:2:1: total: expected a key out of bytes_per_connection, \
                 blocks_per_connection, allocations_per_handshake, bytes, blocks, found \
                 \"byte_per_connection\" (did you mean bytes_per_connection?)",
            ),
            (
                "[total]\nbytes = true\n",
                "budget.toml:2:9: total.bytes: expected a number of at least 0, or \"baseline + 5 \
                 %\", or \"baseline + 100\", found true",
            ),
            (
                "[total]\nbytes = -1\n",
                "budget.toml:2:9: total.bytes: expected a number of at least 0, or \"baseline + 5 \
                 %\", or \"baseline + 100\", found -1",
            ),
            (
                "[total]\nbytes = \"main + 5\"\n",
                "budget.toml:2:9: total.bytes: expected a number of at least 0, or \"baseline + 5 \
                 %\", or \"baseline + 100\", found \"main + 5\"",
            ),
            (
                "[category.\"tls.record_bufers\"]\nbytes = 1\n",
                "budget.toml:1:11: category: expected the name of a category, found \
                 \"tls.record_bufers\" (did you mean tls.record_buffers?)",
            ),
            (
                "[site.\"ssl_lib.c\"]\nbytes = 1\n",
                "budget.toml:1:7: site: expected a site, as in [site.\"ssl/ssl_lib.c:4234\"], \
                 found \"ssl_lib.c\"",
            ),
            (
                "[objects]\nSSL_CTXS = 1\n",
                "budget.toml:2:1: objects: expected a key out of SSL, SSL_CTX, X509_STORE, \
                 X509_OBJECT, X509, X509_CRL, SSL_SESSION, cached SSL_SESSION, EVP_PKEY, \
                 OSSL_LIB_CTX, found \"SSL_CTXS\" (did you mean SSL_CTX?)",
            ),
            (
                "[findings]\nallow = [\"buffers-kept\"]\n",
                "budget.toml:2:10: findings.allow: expected the name of a finding, found \
                 \"buffers-kept\"",
            ),
            ("total = 5\n", "budget.toml:1:9: total: expected a table, found a whole number"),
            (
                "[baseline]\n[total]\nbytes = 1\n",
                "budget.toml:1:1: baseline: expected the key profile, the path of a capture, found \
                 no such key",
            ),
            (
                "[total]\nbytes = \"baseline + 5 %\"\n",
                "budget.toml:2:1: total.bytes: expected a table [baseline] with a profile to \
                 compare with, found a limit against it alone",
            ),
            (
                "",
                "budget.toml:1:1: expected at least one limit, in [total] for example, found none",
            ),
        ] {
            let said = error(text);
            // The word that is most like another is strsim's to choose where none is asked for.
            assert!(said.starts_with(message), "{text:?}\n{said}\n{message}");
        }
        assert!(error("[total\n").starts_with("budget.toml:1:7: expected TOML, found "));
    }

    #[test]
    fn the_fixture_with_every_kind_of_limit_is_read() {
        let text = include_str!("../../../../fixtures/budgets/every-kind.toml");
        let budget = Budget::parse(text, "every-kind.toml").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(budget.limits.len(), 11);
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        for number in ["nan", "inf", "0x10", "1e400", "99999999999999999999999999999999999999999"] {
            let text = format!("[total]\nbytes = {number}\n");
            let _ = Budget::parse(&text, "budget.toml");
        }
        assert!(Budget::parse("[total]\nbytes = inf\n", "b").is_err());
        assert!(Budget::parse("[total]\nbytes = \"baseline + nan %\"\n", "b").is_err());
    }
}
