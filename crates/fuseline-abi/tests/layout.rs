//! The header and its mirror have the same layout.
#![expect(clippy::unwrap_used, reason = "a helper of a test ends the test")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use fuseline_abi as abi;

/// Sizes and offsets as Rust has them, in the words that the C program prints.
fn layout_in_rust() -> String {
    let mut text = String::new();
    macro_rules! lay {
        ($rust:ty, $c:literal, $($field:ident),+) => {
            writeln!(text, "{} {}", $c, size_of::<$rust>()).unwrap();
            $(writeln!(text, "{}.{} {}", $c, stringify!($field), std::mem::offset_of!($rust, $field)).unwrap();)+
        };
    }
    lay!(abi::FslString, "fsl_string", ptr, len);
    lay!(abi::Error, "fsl_error", struct_size, flags, code, retryable, row, param, message);
    lay!(
        abi::Host,
        "fsl_host",
        struct_size,
        flags,
        context,
        max_threads,
        reserved,
        should_stop,
        progress,
        log
    );
    lay!(
        abi::Batch,
        "fsl_batch",
        struct_size,
        flags,
        rows,
        modalities,
        classes,
        modality_names,
        class_names,
        schema,
        array,
        call
    );
    lay!(
        abi::Params,
        "fsl_params",
        struct_size,
        flags,
        context,
        json,
        get_f64,
        get_i64,
        get_str,
        get_bool
    );
    lay!(abi::Sink, "fsl_sink", struct_size, flags, context, write);
    lay!(
        abi::FusionPlugin,
        "fsl_fusion_plugin",
        struct_size,
        flags,
        descriptor,
        fit,
        open,
        close,
        predict,
        get_extension
    );
    lay!(abi::PermutedPredict, "fsl_permuted_predict", struct_size, flags, predict_permuted);
    lay!(abi::File, "fsl_file", name, file_name, bytes, len);
    lay!(
        abi::LoadSource,
        "fsl_load_source",
        struct_size,
        flags,
        files,
        file_count,
        modality_names,
        class_names,
        modalities,
        classes,
        call
    );
    lay!(abi::LoadModel, "fsl_load", struct_size, flags, load);
    lay!(abi::AnswerQuery, "fsl_query", struct_size, flags, query);
    lay!(
        abi::ArrowSchema,
        "struct ArrowSchema",
        format,
        name,
        metadata,
        flags,
        n_children,
        children,
        dictionary,
        release,
        private_data
    );
    lay!(
        abi::ArrowArray,
        "struct ArrowArray",
        length,
        null_count,
        offset,
        n_buffers,
        n_children,
        buffers,
        children,
        dictionary,
        release,
        private_data
    );
    text
}

/// A C program that prints the same lines from the header.
fn program(lines: &str) -> String {
    let mut source =
        String::from("#include <stdio.h>\n#include \"fuseline_fusion.h\"\nint main(void) {\n");
    for line in lines.lines() {
        let (name, _) = line.rsplit_once(' ').unwrap();
        let value = match name.split_once('.') {
            Some((record, field)) => format!("offsetof({record}, {field})"),
            None => format!("sizeof({name})"),
        };
        writeln!(source, "  printf(\"{name} %d\\n\", (int){value});").unwrap();
    }
    for (name, value) in CODES {
        writeln!(source, "  if ({name} != {value}) puts(\"{name} differs\");").unwrap();
    }
    writeln!(
        source,
        "  if (strcmp(FSL_PERMUTED_PREDICT, \"{}\") != 0) puts(\"id\");",
        abi::PERMUTED_PREDICT
    )
    .unwrap();
    source + "  return 0;\n}\n"
}

const CODES: [(&str, i64); 10] = [
    ("FSL_ABI", abi::ABI as i64),
    ("FSL_OK", abi::OK as i64),
    ("FSL_ERR_ABI", abi::ERR_ABI as i64),
    ("FSL_ERR_PARAM", abi::ERR_PARAM as i64),
    ("FSL_ERR_DATA", abi::ERR_DATA as i64),
    ("FSL_ERR_UNSUPPORTED", abi::ERR_UNSUPPORTED as i64),
    ("FSL_ERR_NOT_CONVERGED", abi::ERR_NOT_CONVERGED as i64),
    ("FSL_ERR_CANCELLED", abi::ERR_CANCELLED as i64),
    ("FSL_ERR_OUT_OF_MEMORY", abi::ERR_OUT_OF_MEMORY as i64),
    ("FSL_ERR_INTERNAL", abi::ERR_INTERNAL as i64),
];

fn compile(compiler: &str, standard: &str, source: &Path, output: &Path, more: &[&str]) {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let result = Command::new(compiler)
        .arg(format!("-std={standard}"))
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror", "-I"])
        .arg(include)
        .args(more)
        .arg("-o")
        .arg(output)
        .arg(source)
        .output()
        .unwrap_or_else(|error| panic!("{compiler} is needed for this test: {error}"));
    assert!(result.status.success(), "{standard}: {}", String::from_utf8_lossy(&result.stderr));
}

#[test]
fn header_and_mirror_have_the_same_sizes_offsets_and_codes() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let lines = layout_in_rust();
    let (source, binary) = (folder.join("layout.c"), folder.join("layout"));
    std::fs::write(&source, program(&lines)).unwrap();
    compile("cc", "c11", &source, &binary, &[]);
    let printed = Command::new(&binary).output().unwrap();
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), lines);
}

#[test]
fn the_header_compiles_without_warnings_as_c_and_as_cpp() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let text = "#include \"fuseline_fusion.h\"\nFSL_TAG(\"org.example.nothing\")\n";
    for (compiler, standard, file) in
        [("cc", "c99", "header99.c"), ("cc", "c11", "header11.c"), ("c++", "c++17", "header17.cpp")]
    {
        let source = folder.join(file);
        std::fs::write(&source, text).unwrap();
        compile(compiler, standard, &source, &source.with_extension("o"), &["-c"]);
    }
}
