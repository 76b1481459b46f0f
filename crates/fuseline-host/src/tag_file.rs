//! Reads a plugin's tag from its file, without running any of its code.

use fuseline_abi as abi;
use object::read::elf::{Dyn, ElfFile, FileHeader};
use object::{
    Architecture, ExportTarget, NameOrOrdinal, Object, ObjectKind, ObjectSection, ReadRef,
};

/// Kind of file.
pub(crate) enum Found {
    /// A fusion rule for this machine, with the id of its tag and its ABI.
    Rule { id: String, abi: (u16, u16) },
    /// A sound library that is no fusion rule, as there are many.
    Untagged,
    /// Something that looks like a rule and cannot be one here, with the reason.
    Broken(String),
}

/// A tag is short; what comes after this many bytes is not looked at.
const TAG_LIMIT: u64 = 4096;

/// Reads the tag in the bytes of a library, and of those only what leads to it.
pub(crate) fn read<'d>(data: impl ReadRef<'d>) -> Found {
    let file = match object::File::parse(data) {
        Ok(file) => file,
        Err(error) => return Found::Broken(format!("it is not a shared library: {error}")),
    };
    let tag = match tag_bytes(data, &file) {
        Ok(Some(tag)) => tag,
        Ok(None) => return Found::Untagged,
        Err(error) => return Found::Broken(format!("it is damaged: {error}")),
    };
    if let Some(here) = architecture_here()
        && file.architecture() != here
    {
        return Found::Broken(format!(
            "it is built for {:?}, this machine is {here:?}",
            file.architecture()
        ));
    }
    if file.kind() != ObjectKind::Dynamic {
        return Found::Broken(format!("it is not a shared library but of kind {:?}", file.kind()));
    }
    match abi::Tag::parse(tag) {
        Ok(tag) => Found::Rule { id: tag.id.to_owned(), abi: tag.abi },
        Err(error) => Found::Broken(format!("its tag is wrong: {error}")),
    }
}

/// The names of the symbols that a library exports; none when it cannot be read.
///
/// Weak ones do not count: C++ makes them of every template of its library, and they clash with
/// nothing.
pub(crate) fn exports(bytes: &[u8]) -> Vec<String> {
    let Ok(file) = object::File::parse(bytes) else { return Vec::new() };
    let Ok(exports) = file.exports() else { return Vec::new() };
    exports
        .flatten()
        .filter(|export| !export.is_weak())
        .filter_map(|export| match export.name() {
            NameOrOrdinal::Name(name) => Some(String::from_utf8_lossy(name).into_owned()),
            NameOrOrdinal::Ordinal(_) => None,
        })
        .collect()
}

/// Requirements of a shared library of Linux on the system that it is loaded on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibraryNeeds {
    /// The newest version of the C library that a symbol asks for.
    pub glibc: Option<(u16, u16)>,
    /// The libraries that it names.
    pub libraries: Vec<String>,
}

/// Reads from a library what it needs; its code does not run. Errors, in words, when the bytes are
/// no ELF file.
pub fn library_needs(bytes: &[u8]) -> Result<LibraryNeeds, String> {
    let words = |error: object::Error| error.to_string();
    match object::File::parse(bytes).map_err(words)? {
        object::File::Elf64(file) => elf_needs(&file).map_err(words),
        object::File::Elf32(file) => elf_needs(&file).map_err(words),
        _ => Err("it is no library of Linux".to_owned()),
    }
}

fn elf_needs<'f, E: FileHeader>(file: &ElfFile<'f, E>) -> object::Result<LibraryNeeds> {
    let (endian, data) = (file.endian(), file.data());
    let sections = file.elf_section_table();
    let mut needs = LibraryNeeds { glibc: None, libraries: Vec::new() };
    if let Some((dynamic, link)) = sections.dynamic(endian, data)? {
        let strings = sections.strings(endian, data, link)?;
        for entry in dynamic {
            if entry.d_tag(endian) == object::elf::DT_NEEDED {
                let name = entry.string(endian, strings)?;
                needs.libraries.push(String::from_utf8_lossy(name).into_owned());
            }
        }
    }
    if let Some((mut libraries, link)) = sections.gnu_verneed(endian, data)? {
        let strings = sections.strings(endian, data, link)?;
        while let Some((_, mut versions)) = libraries.next()? {
            while let Some(version) = versions.next()? {
                let name = version.name(endian, strings)?;
                needs.glibc = needs.glibc.max(glibc_version(name));
            }
        }
    }
    Ok(needs)
}

/// The version that `GLIBC_2.34` names.
fn glibc_version(name: &[u8]) -> Option<(u16, u16)> {
    let name = std::str::from_utf8(name).ok()?.strip_prefix("GLIBC_")?;
    let mut parts = name.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn tag_bytes<'d, R: ReadRef<'d>>(
    data: R,
    file: &object::File<'d, R>,
) -> Result<Option<&'d [u8]>, String> {
    let words = |error: object::Error| error.to_string();
    let mut address = None;
    for export in file.exports().map_err(words)? {
        let export = export.map_err(words)?;
        if let (NameOrOrdinal::Name(name), ExportTarget::Address { address: at }) =
            (export.name(), export.target())
            && name.strip_prefix(b"_").unwrap_or(name) == abi::TAG_SYMBOL.as_bytes()
        {
            address = Some(at);
        }
    }
    let Some(address) = address else { return Ok(None) };
    for section in file.sections() {
        let Some((start, size)) = section.file_range() else { continue };
        let inside = address.checked_sub(section.address()).filter(|&inside| inside < size);
        if let Some(inside) = inside {
            let bytes =
                data.read_bytes_at(start.saturating_add(inside), TAG_LIMIT.min(size - inside));
            return bytes.map(Some).map_err(|()| "it is cut short".to_owned());
        }
    }
    Ok(Some(&[]))
}

fn architecture_here() -> Option<Architecture> {
    if cfg!(target_arch = "x86_64") {
        Some(Architecture::X86_64)
    } else if cfg!(target_arch = "aarch64") {
        Some(Architecture::Aarch64)
    } else {
        None
    }
}
