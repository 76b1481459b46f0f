//! Binding of probabilities to the classes of a cohort by their names.
//!
//! Knows names alone: of the columns of a table, of the outputs of a model. Case and separators
//! make no difference, nor does how a number is written. Where names and order contradict each
//! other, nothing is bound.

/// Binding of the names of probabilities to the classes that they belong to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    /// Each name is that of another class: for each class, the position of its name.
    Named(Vec<usize>),
    /// No name contradicts the order of the names.
    Unnamed,
    /// This name is that of a class at another position, and not all names are those of classes.
    Contradictory { name: usize, class: usize },
}

/// Binds names of columns: those of the classes themselves, or with words before or after them
/// (`p_stress`, `restScore`), or behind a prefix that all share (`pstress`, `prest`). There are as
/// many names as classes.
pub(crate) fn bind_columns(names: &[&str], classes: &[String]) -> Binding {
    let class_words: Vec<Vec<String>> = classes.iter().map(|class| words(class)).collect();
    let named: Vec<Option<usize>> = names
        .iter()
        .map(|name| equal(name, classes, &class_words).or_else(|| contained(name, &class_words)))
        .collect();
    if let Some(order) = invert(&named).or_else(|| invert(&behind_prefix(names, classes))) {
        return Binding::Named(order);
    }
    let moved = named.iter().enumerate().find_map(|(name, class)| {
        class.filter(|class| *class != name).map(|class| Binding::Contradictory { name, class })
    });
    moved.unwrap_or(Binding::Unnamed)
}

/// For each class, the position of its name; `None` when the names are not those of all classes.
pub(crate) fn bind_classes(names: &[String], classes: &[String]) -> Option<Vec<usize>> {
    let class_words: Vec<Vec<String>> = classes.iter().map(|class| words(class)).collect();
    let named: Vec<_> = names.iter().map(|name| equal(name, classes, &class_words)).collect();
    (names.len() == classes.len()).then(|| invert(&named)).flatten()
}

/// The class that a name is: to the letter, or else the only one that has its words.
fn equal(name: &str, classes: &[String], class_words: &[Vec<String>]) -> Option<usize> {
    let name_words = words(name);
    classes
        .iter()
        .position(|class| class == name)
        .or_else(|| only(class_words.iter().map(|class| *class == name_words)))
        .filter(|&class| classes[class] == name || !name_words.is_empty())
}

/// The class whose words a name holds; that with the most words, where they hold those of the
/// others.
fn contained(name: &str, class_words: &[Vec<String>]) -> Option<usize> {
    let name = words(name);
    let spans: Vec<Vec<(usize, usize)>> = class_words
        .iter()
        .map(|class| {
            let starts = 0..(name.len() + 1).saturating_sub(class.len());
            let found = starts.filter(|&start| {
                !class.is_empty() && name[start..start + class.len()] == class[..]
            });
            found.map(|start| (start, start + class.len())).collect()
        })
        .collect();
    let is_widest = |of: &Vec<(usize, usize)>| match of[..] {
        [(start, end)] => spans.iter().flatten().all(|other| start <= other.0 && other.1 <= end),
        _ => false,
    };
    only(spans.iter().map(is_widest))
}

/// The classes behind the same prefix in all names: the longest that a name ends in.
fn behind_prefix(names: &[&str], classes: &[String]) -> Vec<Option<usize>> {
    let classes: Vec<String> = classes.iter().map(|class| class.to_lowercase()).collect();
    let names: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let found: Vec<_> = names.iter().map(|name| longest_end(name, &classes)).collect();
    let prefix = found.iter().flatten().map(|(prefix, _)| *prefix).next();
    found.iter().map(|of| of.filter(|of| Some(of.0) == prefix).map(|of| of.1)).collect()
}

/// The longest class that a name ends in, and the text before it.
fn longest_end<'n>(name: &'n str, classes: &[String]) -> Option<(&'n str, usize)> {
    let ends = |class: &&String| !class.is_empty() && name.ends_with(class.as_str());
    let length = classes.iter().filter(ends).map(String::len).max()?;
    let class = only(classes.iter().map(|class| class.len() == length && ends(&class)))?;
    Some((&name[..name.len() - length], class))
}

/// The words of a name: in lower case, apart at separators and before a capital that follows a
/// small letter. A word that is a number is written in one way only.
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (index, &char) in chars.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| chars[before]);
        let after_is_digit = chars.get(index + 1).is_some_and(char::is_ascii_digit);
        let is_point =
            char == '.' && before.is_some_and(|it| it.is_ascii_digit()) && after_is_digit;
        let is_minus = char == '-' && !before.is_some_and(char::is_alphanumeric) && after_is_digit;
        let is_hump = char.is_uppercase() && before.is_some_and(char::is_lowercase);
        if is_hump || !(char.is_alphanumeric() || is_point || is_minus) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut()
            && (char.is_alphanumeric() || is_point || is_minus)
        {
            word.extend(char.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    for word in &mut words {
        if let Some(number) = word.parse::<f64>().ok().filter(|number| number.is_finite()) {
            *word = number.to_string();
        }
    }
    words
}

/// The position of what is true, when nothing else is.
fn only(truths: impl Iterator<Item = bool>) -> Option<usize> {
    let mut found = truths.enumerate().filter(|(_, is)| *is);
    match (found.next(), found.next()) {
        (Some((position, _)), None) => Some(position),
        _ => None,
    }
}

/// The position of each class; `None` unless each has one.
fn invert(named: &[Option<usize>]) -> Option<Vec<usize>> {
    (0..named.len()).map(|class| only(named.iter().map(|of| *of == Some(class)))).collect()
}

#[cfg(test)]
mod tests;
