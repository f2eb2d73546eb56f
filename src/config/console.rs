//! The operator's changes: what was tuned in the console stands above the file and below the environment. Changes for good
//! are kept in a file of their own beside the store, never in the operator's; those for now live in the process.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
};

use toml::{Table, Value, de::DeTable};

use super::{ConfigError, Origin, layers};

/// What stands at the top of the file.
const HEAD: &str = "# Changes made in the console of banggia, which writes this file. They stand above the operator's own file;\n# to go back to what that says, undo them in the console, or delete lines here and send SIGHUP.\n";

/// What of a feed can be changed while it runs.
const TUNABLE: [&str; 2] = ["schedule", "paused"];

/// Changes by key: `feeds.bidv.fx.schedule`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Console {
    /// Until the next restart; they stand above the others.
    pub for_now: BTreeMap<String, String>,
    /// For good.
    pub kept: BTreeMap<String, String>,
}

impl Console {
    /// Reads the file that an earlier change left, if there is one.
    ///
    /// # Errors
    /// Where it is not what this program writes: file, line, key.
    pub fn read(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(ConfigError::one(format!("{}: cannot be read: {error}", path.display())));
            }
        };
        self.kept = parse(path, &text)?.into_iter().map(|(key, (value, _))| (key, value)).collect();
        Ok(())
    }

    /// Writes the changes for good, so that after a crash there is either the old file or the new one.
    ///
    /// # Errors
    /// The operating system's.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut tree = Table::new();
        for (key, value) in &self.kept {
            layers::insert(&mut tree, key, typed(key, value));
        }
        let mut text = HEAD.to_owned();
        text.push_str(&toml::to_string(&tree).map_err(std::io::Error::other)?);
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        let mut file = std::fs::File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        // The name is on the disk when its folder is.
        match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => std::fs::File::open(folder)?.sync_all(),
            _ => std::fs::File::open(".")?.sync_all(),
        }
    }

    /// Everything, with where it comes from.
    pub(super) fn values(&self, file: Option<&Path>) -> Vec<(String, Value, Origin)> {
        let lines = file
            .and_then(|path| Some((path, std::fs::read_to_string(path).ok()?)))
            .and_then(|(path, text)| parse(path, &text).ok())
            .unwrap_or_default();
        let kept = self.kept.iter().map(|(key, value)| {
            let line = lines.get(key).map_or(0, |(_, line)| *line);
            let place = file.filter(|_| line > 0).map(|path| (path.to_owned(), line));
            (key.clone(), typed(key, value), Origin::Console(place))
        });
        let for_now =
            self.for_now.iter().map(|(key, value)| (key.clone(), typed(key, value), Origin::Console(None)));
        kept.chain(for_now).collect()
    }
}

/// What can be changed, each with its line.
fn parse(path: &Path, text: &str) -> Result<BTreeMap<String, (String, usize)>, ConfigError> {
    let place = |offset| format!("{}:{}", path.display(), layers::line(text, offset));
    let document = DeTable::parse(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        ConfigError::one(format!("{}: {}", place(start), error.message()))
    })?;
    let mut leaves = Vec::new();
    layers::flatten_spanned(document.get_ref(), "", &mut leaves);
    let (mut changes, mut problems) = (BTreeMap::new(), Vec::new());
    for (key, value, offset) in leaves {
        let text_of = match value {
            Value::String(text) => Some(text),
            Value::Boolean(on) => Some(on.to_string()),
            _ => None,
        };
        match text_of.filter(|_| is_tunable(&key)) {
            Some(value) => {
                changes.insert(key, (value, layers::line(text, offset)));
            }
            None => problems.push(format!(
                "{}: {key} is not changed in the console; here stand only feeds.<feed>.{}",
                place(offset),
                TUNABLE.join(" and feeds.<feed>.")
            )),
        }
    }
    if problems.is_empty() { Ok(changes) } else { Err(ConfigError(problems)) }
}

fn is_tunable(key: &str) -> bool {
    key.strip_prefix("feeds.")
        .and_then(|rest| rest.rsplit_once('.'))
        .is_some_and(|(feed, name)| providers::feed(feed).is_some() && TUNABLE.contains(&name))
}

fn typed(key: &str, value: &str) -> Value {
    match value.parse() {
        Ok(on) if key.ends_with(".paused") => Value::Boolean(on),
        _ => Value::String(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_for_good_come_back_as_they_were_and_nothing_else_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("banggia.db.overrides.toml");
        let mut console = Console::default();
        console.read(&path).unwrap();
        assert_eq!(console, Console::default(), "no file is no change");
        console.kept.insert("feeds.bidv.fx.schedule".to_owned(), "*/5 8-17 * * Mon-Fri".to_owned());
        console.kept.insert("feeds.doji.gold.paused".to_owned(), "true".to_owned());
        console.write(&path).unwrap();
        let mut again = Console::default();
        again.read(&path).unwrap();
        assert_eq!(again, console);
        for (text, start) in [
            ("\n[server]\nlisten = \"0.0.0.0:80\"\n", "3: server.listen is not changed in the console"),
            ("[feeds.sjc.gold]\nschedule = \"0 * * * *\"\n", "2: feeds.sjc.gold.schedule is not changed"),
            ("[feeds", "1: "),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = again.read(&path).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{}:{start}", path.display())), "{error}");
        }
    }
}
