//! A few rounds' figures as one.

/// The lowest, the middle and the highest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread([f64; 3]);

impl Spread {
    /// Of at least one value.
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Spread {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let place = |part: usize| values.get((values.len() - 1) * part / 2).copied().unwrap_or_default();
        Spread([0, 1, 2].map(place))
    }

    pub(super) fn middle(self) -> f64 {
        self.0[1]
    }

    pub(super) fn show(self, digits: usize) -> String {
        let [least, middle, most] = self.0;
        format!("{middle:.digits$} ({least:.digits$} to {most:.digits$})")
    }
}
