//! Slurm's way to write the names of many hosts: `node[01-03,7],login1`.

/// More hosts than any cluster has.
const HOSTS_MAX: usize = 65_536;

/// The names in a list, in its order.
///
/// # Errors
///
/// It is no such list, or has more than 65,536 names.
pub(super) fn expand(list: &str) -> Result<Vec<String>, String> {
    let wrong = |why: &str| format!("'{list}' is not a list of hosts such as node[01-03,7]: {why}");
    let mut names = Vec::new();
    for item in items(list).map_err(wrong)? {
        names.extend(names_of(item).map_err(wrong)?);
        if names.len() > HOSTS_MAX {
            return Err(wrong("too many hosts"));
        }
    }
    Ok(names)
}

/// What stands between commas outside of brackets.
fn items(list: &str) -> Result<Vec<&str>, &'static str> {
    let (mut items, mut begin, mut inside) = (Vec::new(), 0, false);
    for (at, character) in list.char_indices() {
        match character {
            '[' if inside => return Err("a bracket within brackets"),
            '[' => inside = true,
            ']' if !inside => return Err("a bracket that was not opened"),
            ']' => inside = false,
            ',' if !inside => {
                items.push(&list[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    items.push(&list[begin..]);
    if inside { Err("a bracket that is not closed") } else { Ok(items) }
}

/// All names of an item, which may have several brackets: the last one varies fastest.
fn names_of(item: &str) -> Result<Vec<String>, &'static str> {
    if item.is_empty() {
        return Err("an empty name");
    }
    let mut names = vec![String::new()];
    let mut rest = item;
    while let Some((prefix, after)) = rest.split_once('[') {
        let (ranges, after) = after.split_once(']').ok_or("a bracket that is not closed")?;
        let numbers = numbers_of(ranges)?;
        if names.len() * numbers.len() > HOSTS_MAX {
            return Err("too many hosts");
        }
        let with_all = |name: &String| {
            numbers.iter().map(|number| format!("{name}{prefix}{number}")).collect::<Vec<_>>()
        };
        names = names.iter().flat_map(with_all).collect();
        rest = after;
    }
    names.iter_mut().for_each(|name| name.push_str(rest));
    Ok(names)
}

/// The numbers of `01-03,7`, with as many digits as they are written with.
fn numbers_of(ranges: &str) -> Result<Vec<String>, &'static str> {
    let mut numbers = Vec::new();
    for range in ranges.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (low, high) = (number_of(first)?, number_of(last)?);
        if low > high {
            return Err("a range that ends before it begins");
        }
        if high - low >= HOSTS_MAX {
            return Err("too many hosts");
        }
        let width = first.len();
        numbers.extend((low..=high).map(|number| format!("{number:0width$}")));
    }
    Ok(numbers)
}

fn number_of(digits: &str) -> Result<usize, &'static str> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = plain.then(|| digits.parse().ok()).flatten();
    number.ok_or("what is in brackets are numbers, and ranges of numbers")
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    fn names(list: &str) -> Vec<String> {
        expand(list).expect(list)
    }

    #[test]
    fn expand__ranges_keep_their_zeros() {
        assert_eq!(names("node[01-03,7]"), ["node01", "node02", "node03", "node7"]);
        assert_eq!(names("n[8-11]"), ["n8", "n9", "n10", "n11"]);
        assert_eq!(names("n[098-101]-ib"), ["n098-ib", "n099-ib", "n100-ib", "n101-ib"]);
        assert_eq!(names("127.0.0.[2-3]"), ["127.0.0.2", "127.0.0.3"]);
    }

    #[test]
    fn expand__several_items_and_brackets() {
        assert_eq!(names("login1"), ["login1"]);
        assert_eq!(names("a,b[1-2],c"), ["a", "b1", "b2", "c"]);
        assert_eq!(names("r[1-2]n[1-2]"), ["r1n1", "r1n2", "r2n1", "r2n2"]);
    }

    #[test]
    fn expand__nonsense_is_refused() {
        for (list, why) in [
            ("", "empty"),
            ("a,,b", "empty"),
            ("a[1-2", "not closed"),
            ("a1]", "not opened"),
            ("a[[1]]", "within"),
            ("a[]", "numbers"),
            ("a[x]", "numbers"),
            ("a[3-1]", "before it begins"),
            ("a[1-100000]", "too many"),
            ("a[1-999]b[1-999]", "too many"),
            ("a[1-99999999999999999999999]", "numbers"),
        ] {
            let error = expand(list).expect_err(list);
            assert!(error.contains(why), "{error}");
        }
    }
}
