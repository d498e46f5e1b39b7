//! The slope: one configuration at several numbers of connections, and the line through them.

use std::num::NonZeroU64;
use std::path::Path;

use analysis::column::Column;
use analysis::group::By;
use analysis::slope::slopes;
use capture::records::scale::Scale;

use crate::front_end::OneStep;
use crate::run::{self, Options};
use crate::{FrontEnd, TrialError};

/// Says which numbers of connections make no line, before anything is started.
pub fn check(numbers: &[usize]) -> Result<(), TrialError> {
    let mut different = numbers.to_vec();
    different.sort_unstable();
    different.dedup();
    if different.len() == 1 {
        return Err(TrialError::Refused(
            "--scale needs at least two different numbers of connections, as in --scale 50,100,200"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Runs at each of these numbers of connections, otherwise as the template says, and fits. `None`
/// when there are no numbers. `folder` takes the files of each run while it lasts.
pub fn measure(
    template: &Options,
    numbers: &[usize],
    front_end: &FrontEnd<'_>,
    folder: &Path,
) -> Result<Option<Scale>, TrialError> {
    check(numbers)?;
    let mut captures = Vec::new();
    for connections in numbers {
        let name = &template.configuration.name;
        front_end.progress.now(&format!("{name}: {connections} connections"));
        let options = Options { connections: *connections, ..template.clone() };
        let quiet = OneStep(front_end.progress);
        let run = run::run(&options, &front_end.telling(&quiet), folder)?;
        let capture = run.ended_well(front_end)?.part(None)?;
        captures.push((
            capture.connections.map_or(0, NonZeroU64::get),
            capture.rows(By::Site, Column::InUse),
        ));
        front_end.progress.step_done();
    }
    let connections = captures.iter().map(|(connections, _)| *connections).collect();
    Ok(slopes(&captures).map(|slopes| Scale::new(connections, &slopes)))
}
