//! The columns of our CSV files: numbers, and words that contain no comma.

/// A file with a head line.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Columns {
    pub(super) fn parse(text: &str) -> Self {
        let fields = |line: &str| line.split(',').map(str::to_owned).collect();
        let mut lines = text.lines();
        let names = lines.next().map(fields).unwrap_or_default();
        Self { names, rows: lines.map(fields).collect() }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// Pairs of two columns, where both are numbers.
    pub(super) fn points(&self, x: &str, y: &str) -> Vec<(f64, f64)> {
        let (Some(x), Some(y)) = (self.position(x), self.position(y)) else { return Vec::new() };
        let number = |row: &Vec<String>, at: usize| row.get(at)?.parse::<f64>().ok();
        self.rows.iter().filter_map(|row| Some((number(row, x)?, number(row, y)?))).collect()
    }

    /// First and last x of the rows with this word.
    pub(super) fn span(&self, x: &str, (column, word): (&str, &str)) -> Option<(f64, f64)> {
        let (x, column) = (self.position(x)?, self.position(column)?);
        let rows = self.rows.iter().filter(|row| row.get(column).is_some_and(|it| it == word));
        let mut places = rows.filter_map(|row| row.get(x)?.parse::<f64>().ok());
        let first = places.next()?;
        Some((first, places.next_back().unwrap_or(first)))
    }
}

#[cfg(test)]
mod tests {
    use super::Columns;

    #[test]
    fn unknown_values_and_columns_are_no_points() {
        let columns =
            Columns::parse("second,phase,cpu\n0,warm_up,\n1,measuring,5\n2,measuring,7.5\n");
        assert_eq!(columns.points("second", "cpu"), [(1.0, 5.0), (2.0, 7.5)]);
        assert!(columns.points("second", "memory").is_empty());
        assert_eq!(columns.span("second", ("phase", "measuring")), Some((1.0, 2.0)));
        assert_eq!(columns.span("second", ("phase", "draining")), None);
        assert!(Columns::parse("").points("a", "b").is_empty());
    }
}
