//! A few rounds' figures as one.

/// The lowest, the middle and the highest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread([f64; 3]);

impl Spread {
    /// Of at least one value.
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Spread {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        Spread([0, 50, 100].map(|hundredths| of_hundred(&values, hundredths).unwrap_or_default()))
    }

    pub(super) fn middle(self) -> f64 {
        self.0[1]
    }

    pub(super) fn show(self, digits: usize) -> String {
        let [least, middle, most] = self.0;
        format!("{middle:.digits$} ({least:.digits$} to {most:.digits$})")
    }
}

/// That of `sorted`, the lowest first, which so many hundredths of them don't exceed; nothing of nothing.
pub(super) fn of_hundred<T: Copy>(sorted: &[T], hundredths: usize) -> Option<T> {
    let many = (sorted.len() * hundredths).div_ceil(100);
    sorted.get(many.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_of_a_hundred_do_not_exceed_it() {
        let values: Vec<u32> = (1..=200).collect();
        assert_eq!([0, 50, 99, 100].map(|hundredths| of_hundred(&values, hundredths)), [1, 100, 198, 200].map(Some));
        assert_eq!(of_hundred(&[7], 50), Some(7));
        assert_eq!(of_hundred::<u32>(&[], 50), None);
    }
}
