//! Checks of single fields.

use crate::{
    config::{error::Error, field_path::FieldPath, value::check_header},
    header::Use,
    path,
};

pub(super) fn check_prefix(prefix: &str, at: &FieldPath<'_>) -> Result<(), Error> {
    at.ensure(
        path::is_normalised(prefix),
        format_args!(
            "{prefix:?} is no normalised prefix: it starts with `/`, has no empty segment and no `/` at its end"
        ),
    )
}

/// Checks a path that replaces a prefix of a request's path, as the filter does for a switch.
///
/// # Errors
/// The reason that the filter would reject it.
pub fn check_rewrite(path: &str) -> Result<(), Error> {
    check_outgoing(path, &FieldPath::ROOT)
}

/// Checks a path that replaces another: the proxy does not normalise it again, so it has to be plain.
pub(super) fn check_outgoing(path: &str, at: &FieldPath<'_>) -> Result<(), Error> {
    at.ensure(
        path::is_outgoing(path),
        format_args!(
            "{path:?} is no plain path: it starts with `/`, and has no `..`, `//`, `?`, `#`, encoded slash or space"
        ),
    )
}

/// Checks the name of a header, in lower case, that is put to these uses.
pub(super) fn check_lower_header(name: &str, uses: &[Use], at: &FieldPath<'_>) -> Result<(), Error> {
    at.check(check_header(name, uses))?;
    let has_upper = name.bytes().any(|byte| byte.is_ascii_uppercase());
    at.ensure(!has_upper, format_args!("{name:?} must be in lower case"))
}

pub(super) fn check_each<T>(
    list: &[T],
    field: &str,
    at: &FieldPath<'_>,
    check: impl Fn(&T, &FieldPath<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let at = at.field(field);
    for (index, item) in list.iter().enumerate() {
        check(item, &at.item(index))?;
    }
    Ok(())
}
