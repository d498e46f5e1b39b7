//! A budget's review as JUnit's XML, which build servers show as tests.

use analysis::budget::Review;
use profile::harmless::harmless_document;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use crate::review::{Reviewed, breaches, outcome};

/// One test for each limit, and one for each finding that is not allowed.
pub fn junit(review: &Review, reviewed: &Reviewed<'_>) -> std::io::Result<Vec<u8>> {
    let broken = breaches(review);
    let mut messages = broken.iter();
    let passed = |verdict: &analysis::budget::Verdict| !verdict.is_breach();
    let tests: Vec<(String, bool)> = review
        .verdicts
        .iter()
        .map(|verdict| {
            let name = format!("{}: {}", verdict.limit.scope.name(), verdict.limit.figure.key());
            (name, passed(verdict))
        })
        .chain(review.unwanted.iter().map(|finding| (format!("no {}", finding.rule.id), false)))
        .collect();
    let (count, failures) = (tests.len().to_string(), broken.len().to_string());

    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let sums = [("tests", count.as_str()), ("failures", failures.as_str())];
    let whole = writer.create_element("testsuites").with_attributes(sums);
    whole.write_inner_content(|writer| {
        let suite = writer
            .create_element("testsuite")
            .with_attribute(("name", outcome(review, reviewed).as_str()))
            .with_attributes(sums);
        suite.write_inner_content(|writer| {
            for (name, passed) in &tests {
                let case = writer
                    .create_element("testcase")
                    .with_attribute(("classname", reviewed.budget))
                    .with_attribute(("name", name.as_str()));
                if *passed {
                    case.write_empty()?;
                    continue;
                }
                // Breaches come in the order of the tests that failed.
                let nothing = (String::new(), String::new());
                let (title, message) = messages.next().unwrap_or(&nothing);
                case.write_inner_content(|writer| {
                    writer
                        .create_element("failure")
                        .with_attribute(("message", title.as_str()))
                        .write_text_content(BytesText::new(message))?;
                    Ok(())
                })?;
            }
            Ok(())
        })?;
        Ok(())
    })?;
    let xml = String::from_utf8(writer.into_inner())
        .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))?;
    // XML has no place for most control characters, however they are written.
    Ok((harmless_document(xml) + "\n").into_bytes())
}

#[cfg(test)]
mod tests {
    use analysis::budget::{Figure, Limit, Most, Scope, Verdict};
    use analysis::column::Column;

    use super::*;

    #[test]
    fn each_limit_is_a_test_and_each_breach_a_failure() {
        let verdict = |value| Verdict {
            limit: Limit {
                scope: Scope::Function("<f>&\"g\"".to_owned()),
                figure: Figure::Bytes,
                most: Most::Absolute(5.0),
                line: 1,
            },
            most: 5.0,
            baseline: None,
            value,
            causes: Vec::new(),
        };
        let review = Review {
            verdicts: vec![verdict(4.0), verdict(6.0)],
            unwanted: Vec::new(),
            explanations: Vec::new(),
        };
        let reviewed = Reviewed { capture: "run", budget: "budget.toml", column: Column::InUse };
        let xml = String::from_utf8(junit(&review, &reviewed).unwrap()).unwrap();
        assert_eq!(
            xml,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuites tests=\"2\" failures=\"1\">\n  \
             <testsuite name=\"run breaks budget.toml: 1 of 2 limits is exceeded\" tests=\"2\" \
             failures=\"1\">\n    \
             <testcase classname=\"budget.toml\" name=\"function &lt;f&gt;&amp;&quot;g&quot;: \
             bytes\"/>\n    \
             <testcase classname=\"budget.toml\" name=\"function &lt;f&gt;&amp;&quot;g&quot;: \
             bytes\">\n      \
             <failure message=\"function &lt;f&gt;&amp;&quot;g&quot; is over its budget\">function \
             &lt;f&gt;&amp;&quot;g&quot;: 6 bytes, 1 more than the 5 of the budget</failure>\n    \
             </testcase>\n  </testsuite>\n</testsuites>\n"
        );
    }
}
