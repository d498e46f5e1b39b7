//! The line that says which figures are shown, where nobody has chosen them and they are not those
//! of the capture's own moment.

use analysis::column::Column;
use analysis::diagnosis::case::Ending;
use analysis::domain::total_of_openssl;
use analysis::notation::human;
use capture::Capture;
use profile::harmless::harmless;

/// The line, without its end; `None` where nothing has to be said. Of several captures that are
/// shown alike it names the one that is the reason.
pub fn column_note(
    captures: &[&Capture],
    column: Column,
    chosen: Option<Column>,
) -> Option<String> {
    let is_reason = |capture: &&&Capture| capture.usual_column() == Column::Peak;
    let reason = captures.iter().find(is_reason)?;
    if chosen.is_some() || column != Column::Peak {
        return None;
    }
    let program = match captures {
        [_] => "the program".to_owned(),
        _ => format!("the program of {}", harmless(&reason.name)),
    };
    let left = reason.profile.column(Column::InUse.bytes());
    let left = left.map_or(0, |column| total_of_openssl(&reason.profile, column));
    let freed = match left {
        ..=0 => "everything".to_owned(),
        left => format!("all but {}", human(left as f64)),
    };
    let when = match reason.ending() {
        Ending::Unknown => "by then",
        Ending::ByItself | Ending::Killed => "when it ended",
    };
    Some(format!(
        "at the peak: {program} had freed {freed} {when}; --column in-use for that moment"
    ))
}
