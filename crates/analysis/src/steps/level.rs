//! Lines through levels, by least squares.

/// The numbers by which each row's figures add up to its value, as nearly as all rows allow; `None`
/// where the rows do not tell them apart.
pub(super) fn least_squares(rows: &[Vec<f64>], values: &[f64]) -> Option<Vec<f64>> {
    weighted(rows, values, |_| 1.0)
}

/// How often rows are weighed again.
const ROUNDS: usize = 30;

/// The numbers that most rows agree on nearly: rows far off count for less, round by round.
pub(super) fn solve_weighted(rows: &[&[i64]], values: &[i64]) -> Option<Vec<f64>> {
    let rows: Vec<Vec<f64>> =
        rows.iter().map(|row| row.iter().map(|step| *step as f64).collect()).collect();
    let values: Vec<f64> = values.iter().map(|value| *value as f64).collect();
    let mut line = least_squares(&rows, &values)?;
    for _ in 0..ROUNDS {
        let off: Vec<f64> = rows
            .iter()
            .zip(&values)
            .map(|(row, value)| (value - along(row, &line)).abs())
            .collect();
        line = weighted(&rows, &values, |at| 1.0 / off[at].max(1e-3))?;
    }
    Some(line)
}

fn along(row: &[f64], line: &[f64]) -> f64 {
    row.iter().zip(line).map(|(step, number)| step * number).sum()
}

fn weighted(rows: &[Vec<f64>], values: &[f64], weight: impl Fn(usize) -> f64) -> Option<Vec<f64>> {
    let unknown = rows.first()?.len();
    // The normal equations, with the values as their last column.
    let mut equations = vec![vec![0.0; unknown + 1]; unknown];
    for (at, (row, value)) in rows.iter().zip(values).enumerate() {
        let weight = weight(at);
        for (equation, left) in equations.iter_mut().zip(row) {
            for (cell, right) in equation.iter_mut().zip(row.iter().chain([value])) {
                *cell += weight * left * right;
            }
        }
    }
    solve(equations)
}

/// Gauss's way, with the largest pivot.
fn solve(mut equations: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let unknown = equations.len();
    for at in 0..unknown {
        let size = |row: &Vec<f64>| row[at].abs();
        let pivot =
            (at..unknown).max_by(|a, b| size(&equations[*a]).total_cmp(&size(&equations[*b])))?;
        equations.swap(at, pivot);
        let scale: f64 = equations[at].iter().take(unknown).map(|cell| cell.abs()).sum();
        if equations[at][at].abs() <= 1e-9 * scale.max(1e-9) {
            return None;
        }
        let (done, below) = equations.split_at_mut(at + 1);
        let row = &done[at];
        for other in below {
            let factor = other[at] / row[at];
            for (cell, of_row) in other.iter_mut().zip(row) {
                *cell -= factor * of_row;
            }
        }
    }
    let mut line = vec![0.0; unknown];
    for at in (0..unknown).rev() {
        let rest: f64 = (at + 1..unknown).map(|later| equations[at][later] * line[later]).sum();
        line[at] = (equations[at][unknown] - rest) / equations[at][at];
    }
    line.iter().all(|number| number.is_finite()).then_some(line)
}

/// So many stretches are left out in turn to see how far off a line may be.
const STRETCHES: usize = 6;

/// Of Student's t with one freedom less than there are stretches, 95 %.
const STUDENT: f64 = 2.571;

/// A line, and half the width of the 95 % interval of each of its numbers: from what they become
/// where each of six stretches of the rows is left out.
pub(super) fn with_margins(rows: &[Vec<f64>], values: &[f64]) -> Option<(Vec<f64>, Vec<f64>)> {
    let line = least_squares(rows, values)?;
    let mut without = Vec::new();
    for stretch in 0..STRETCHES {
        let keep = |at: usize| at * STRETCHES / rows.len().max(1) != stretch;
        let (kept, kept_values): (Vec<Vec<f64>>, Vec<f64>) = rows
            .iter()
            .zip(values)
            .enumerate()
            .filter(|(at, _)| keep(*at))
            .map(|(_, (row, value))| (row.clone(), *value))
            .unzip();
        without.push(least_squares(&kept, &kept_values)?);
    }
    let all = STRETCHES as f64;
    let margins = (0..line.len())
        .map(|at| {
            let mean = without.iter().map(|line| line[at]).sum::<f64>() / all;
            let squares: f64 = without.iter().map(|line| (line[at] - mean).powi(2)).sum();
            STUDENT * ((all - 1.0) / all * squares).sqrt()
        })
        .collect();
    Some((line, margins))
}
