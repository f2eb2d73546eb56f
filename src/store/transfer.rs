//! Everything that a store of one machine keeps, copied into another one: how a service that grows takes its history along.
//! Reads the one, adds to the other, changes nothing that is there.

use super::{
    Nature, Store, StoreError,
    rows::sum,
    sql::{Base, Row, Tx, Value, begin_on},
};

/// Rows at a time, one transaction each.
const PAGE: i64 = 1000;

/// A table and its columns, those that hold whole numbers marked by `#`. Rows number themselves anew.
const TABLES: &[(&str, &[&str])] = &[
    ("change", &["id", "source", "feed", "#at", "as_of", "figures", "#sum", "#late", "#shown"]),
    ("source", &["feed", "source", "keys", "#attempted_at", "outcome", "reason", "#sum"]),
    ("document", &["name", "#version", "#generated_at", "hash", "#sum"]),
    ("held", &["feed", "source", "key", "held"]),
    ("audit", &["#at", "via", "action", "target", "before", "after", "outcome"]),
    ("backfill", &["feed", "source", "day", "outcome", "#asked_at"]),
    ("backfill_wait", &["feed", "source", "#until"]),
    ("event", &["#seq", "#at", "what", "feed", "subject", "data"]),
    ("series", &["id", "feed"]),
    ("figure", &["id", "source", "feed"]),
    ("watched", &["feed", "source", "#day", "seconds"]),
    ("watched_before", &["feed", "source", "#first_at", "#last_at"]),
    ("stood", &["id", "source", "#at", "kept", "#sum"]),
    ("dated", &["id", "source", "#at", "as_of"]),
    // The last: a store that has it is one that somebody uses.
    (
        "quote",
        &[
            "id",
            "source",
            "feed",
            "figures",
            "previous",
            "as_of",
            "#fetched_at",
            "#checked_at",
            "#changed_at",
            "#sum",
        ],
    ),
];

impl Store {
    /// Copies all that `from` keeps; told of each table with the number of its rows.
    ///
    /// # Errors
    /// [`StoreError`]: what was copied until then stays, and the same again goes on.
    pub async fn transfer(&self, from: &Self, mut told: impl FnMut(&str, u64)) -> Result<(), StoreError> {
        let known = i64::try_from(super::MIGRATIONS.len()).unwrap_or(i64::MAX);
        let found = from.schema().await?;
        let name = "to copy from".to_owned();
        if found > known {
            return Err(StoreError::Newer { file: name, found, known });
        }
        if found < known {
            return Err(StoreError::Older { file: name, found, known });
        }
        let row = from.base().row("SELECT value FROM meta WHERE key = 'nature'", &[]).await?;
        let found: String = row.map(|row| row.first()).transpose()?.unwrap_or_default();
        let wanted = Nature::Live.as_str();
        if found != wanted {
            return Err(StoreError::Nature { file: name, found, wanted });
        }
        if self.base().row("SELECT 1 FROM quote LIMIT 1", &[]).await?.is_some() {
            return Err(StoreError::NotEmpty);
        }
        for (table, columns) in TABLES {
            told(table, self.transfer_table(from, table, columns).await?);
        }
        Ok(())
    }

    async fn transfer_table(&self, from: &Self, table: &str, columns: &[&str]) -> Result<u64, StoreError> {
        let names: Vec<&str> = columns.iter().map(|name| name.trim_start_matches('#')).collect();
        let names = names.join(", ");
        let select = format!(
            "SELECT rowid AS place, {names} FROM {table} WHERE rowid > $1 ORDER BY rowid LIMIT {PAGE}"
        );
        let places = (1..=columns.len()).map(|at| format!("${at}")).collect::<Vec<_>>().join(", ");
        let insert = format!("INSERT INTO {table} ({names}) VALUES ({places}) ON CONFLICT DO NOTHING");
        let (mut behind, mut copied) = (-1, 0);
        loop {
            let rows = from.base().rows(&select, &[behind.into()]).await?;
            let Some(last) = rows.last() else { return Ok(copied) };
            behind = last.try_get("place")?;
            if table == "change"
                && let (Base::Postgres(pool), Some(cluster)) = (&*self.base(), &self.cluster)
            {
                let instants = rows.iter().filter_map(|row| row.try_get("at").ok()).map(super::second);
                cluster.make_room(pool, instants).await?;
            }
            let base = self.base();
            let mut transaction = match &*base {
                Base::Postgres(pool) => begin_on(pool).await?,
                Base::Sqlite(pool) => Tx::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
            };
            for row in &rows {
                let values: Result<Vec<Value>, sqlx::Error> =
                    columns.iter().map(|column| value(row, column)).collect();
                let mut values = values?;
                if let (
                    true,
                    [
                        Value::Text(id),
                        Value::Text(source),
                        Value::Text(feed),
                        Value::Int(at),
                        Value::Text(as_of),
                        Value::Text(figures),
                        missing @ Value::NoInt,
                        _,
                    ],
                ) = (*table == *"change", values.as_mut_slice())
                {
                    // Changes of before there were sums; here a sum is part of what makes a change one.
                    *missing = sum(&[id, source, feed, &at.to_string(), as_of, figures]).into();
                }
                copied += transaction.execute(&insert, &values).await?;
            }
            transaction.commit().await?;
        }
    }
}

fn value(row: &Row, column: &str) -> Result<Value, sqlx::Error> {
    match column.strip_prefix('#') {
        Some(name) => Ok(row.try_get::<Option<i64>>(name)?.map_or(Value::NoInt, Value::Int)),
        None => Ok((&row.try_get::<Option<String>>(column)?).into()),
    }
}
