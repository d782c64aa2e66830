//! The installed package: found by pkg-config and by CMake, shared and static, and the same as the one before it.

use crate::prefix::{compile, done, has, here, prefix, python};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// A message out and in, in one process.
const HELLO: &str = "tests/users/hello.c";
const SAID: &str = "message 0: oyez, oyez, oyez\n";

fn pkg_config(prefix: &Path, arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.args(arguments).arg("oyez").env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
    done(&mut command).split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_program_is_built_by_pkg_config_with_the_shared_and_with_the_static_library() {
    let test = "a_program_is_built_by_pkg_config_with_the_shared_and_with_the_static_library";
    if !has(test, &["gcc", "pkg-config"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let shared = folder.path().join("shared");
    let mut compiler = Command::new("gcc");
    done(compiler.arg(here(HELLO)).arg("-o").arg(&shared).args(pkg_config(prefix(), &["--cflags", "--libs"])));
    assert_eq!(done(Command::new(&shared).env("LD_LIBRARY_PATH", prefix().join("lib"))), SAID);

    // A prefix elsewhere, with the static library alone.
    let moved = folder.path().join("moved");
    std::fs::create_dir_all(moved.join("lib/pkgconfig")).expect("a folder");
    std::os::unix::fs::symlink(prefix().join("include"), moved.join("include")).expect("a link");
    std::os::unix::fs::symlink(prefix().join("lib/liboyez.a"), moved.join("lib/liboyez.a")).expect("a link");
    std::fs::copy(prefix().join("lib/pkgconfig/oyez.pc"), moved.join("lib/pkgconfig/oyez.pc")).expect("copied");
    let program = folder.path().join("static");
    let mut compiler = Command::new("gcc");
    compiler.arg(here(HELLO)).arg("-o").arg(&program);
    done(compiler.args(pkg_config(&moved, &["--static", "--cflags", "--libs"])));
    assert_eq!(done(&mut Command::new(&program)), SAID);
    assert_eq!(pkg_config(prefix(), &["--modversion"]), [env!("CARGO_PKG_VERSION")]);
}

#[test]
fn a_program_is_built_by_cmake_with_the_shared_and_with_the_static_library() {
    let test = "a_program_is_built_by_cmake_with_the_shared_and_with_the_static_library";
    if !has(test, &["gcc", "cmake", "make"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    // As where /lib is a link into /usr.
    let root = folder.path().join("root");
    std::fs::create_dir(&root).expect("a folder");
    std::os::unix::fs::symlink(prefix().join("lib"), root.join("lib")).expect("a link");
    let configure = |wanted: &str| {
        let lists = format!(
            "cmake_minimum_required(VERSION 3.13)\nproject(hello C)\nfind_package(Oyez {wanted} REQUIRED)\n\
             foreach(kind shared static)\nadd_executable(${{kind}} {:?})\n\
             target_link_libraries(${{kind}} Oyez::${{kind}})\nendforeach()\n",
            here(HELLO)
        );
        std::fs::write(folder.path().join("CMakeLists.txt"), lists).expect("written");
        let mut cmake = Command::new("cmake");
        cmake.arg("-S").arg(folder.path()).arg("-B").arg(folder.path().join(wanted));
        cmake.arg(format!("-DCMAKE_PREFIX_PATH={}", root.display()));
        cmake
    };
    done(&mut configure(env!("CARGO_PKG_VERSION")));
    let build = folder.path().join(env!("CARGO_PKG_VERSION"));
    done(Command::new("cmake").arg("--build").arg(&build));
    for kind in ["shared", "static"] {
        assert_eq!(done(&mut Command::new(build.join(kind))), SAID, "{kind}");
    }
    let newer = configure("0.99").output().expect("it runs");
    let said = String::from_utf8_lossy(&newer.stderr).into_owned();
    assert!(!newer.status.success() && said.contains("requested version \"0.99\""), "{said}");
}

#[test]
fn both_headers_are_for_strict_compilers_of_either_language() {
    let test = "both_headers_are_for_strict_compilers_of_either_language";
    if !has(test, &["gcc", "g++"]) {
        return;
    }
    for (compiler, standard, language, header) in [
        ("gcc", "-std=c99", "c", "oyez.h"),
        ("gcc", "-std=c17", "c", "oyez.h"),
        ("g++", "-std=c++11", "c++", "oyez.h"),
        ("g++", "-std=c++17", "c++", "oyez.hpp"),
        ("g++", "-std=c++20", "c++", "oyez.hpp"),
    ] {
        let mut command = Command::new(compiler);
        command.args([
            standard,
            "-pedantic",
            "-Wall",
            "-Wextra",
            "-Wshadow",
            "-Wconversion",
            "-Werror",
            "-fsyntax-only",
        ]);
        done(
            command
                .args(["-x", language])
                .arg(here("tests/users").join(format!("only_{header}")))
                .arg("-I")
                .arg(prefix().join("include")),
        );
    }
}

/// The functions that the shared library gives to others, with their versions.
fn exported() -> BTreeSet<String> {
    let listed = done(Command::new("nm").args(["-D", "--defined-only"]).arg(prefix().join("lib/liboyez.so")));
    listed
        .lines()
        .filter_map(|line| line.rsplit(' ').next())
        .filter(|name| name.contains('@'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_shared_library_exports_what_the_map_says_and_nothing_else() {
    let test = "the_shared_library_exports_what_the_map_says_and_nothing_else";
    if !has(test, &["nm", "readelf"]) {
        return;
    }
    let map = std::fs::read_to_string(here("package/oyez.map")).expect("the map");
    let names = map.lines().filter_map(|line| line.trim().strip_suffix(';')).filter(|name| name.starts_with("oyez_"));
    assert_eq!(exported(), names.map(|name| format!("{name}@@OYEZ_0.1")).collect());
    let library = prefix().join("lib/liboyez.so");
    let listed = done(Command::new("nm").args(["-D", "--defined-only"]).arg(&library));
    assert_eq!(listed.lines().count(), exported().len() + 1, "the version itself, and no symbol without one: {listed}");
    let dynamic = done(Command::new("readelf").arg("-d").arg(&library));
    assert!(dynamic.contains("soname: [liboyez.so.0]") && dynamic.contains("NODELETE"), "{dynamic}");
    // A file on its way into another prefix must not remember this one.
    assert!(!dynamic.contains("RPATH") && !dynamic.contains("RUNPATH"), "{dynamic}");
}

/// Everything that the header declares, as symbols of one library: libabigail compares what it knows of symbols.
fn everything(header: &str) -> String {
    let mut source = "#include <oyez.h>\n".to_owned();
    let lines = header.lines().filter(|line| !line.starts_with([' ', '#', '/', '}']) && !line.starts_with("typedef"));
    let functions = lines.filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next());
    for name in functions.filter(|name| name.starts_with("oyez_")) {
        writeln!(source, "__typeof__(&{name}) const abi_{name} = &{name};").expect("text");
    }
    let constants = header.lines().filter_map(|line| line.strip_prefix("#define ")?.split_once(' '));
    for (name, _) in constants {
        writeln!(source, "enum abi_{name} {{ abi_value_{name} = {name} }} abi_{name};").expect("text");
    }
    source
}

/// `OYEZ_BLESS=1` writes the baseline anew. Additions pass without it: what was released must stay as it is.
#[test]
fn the_abi_is_golden() {
    if !has("the_abi_is_golden", &["gcc", "abidw", "abidiff"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let header = std::fs::read_to_string(here("include/oyez.h")).expect("the header");
    let (source, library) = (folder.path().join("abi.c"), folder.path().join("abi.so"));
    std::fs::write(&source, everything(&header)).expect("written");
    compile(&source, &library, &["-shared", "-fPIC", "-std=gnu99", "-Wno-pedantic", "-Wl,-z,defs"]);
    let baseline = here("abi/0.1.abi");
    if std::env::var_os("OYEZ_BLESS").is_some() {
        let places = ["--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--drop-undefined-syms"];
        let written = done(Command::new("abidw").args(places).arg(&library));
        std::fs::write(&baseline, written).expect("written");
    }
    let compared =
        Command::new("abidiff").args(["--no-added-syms"]).arg(&baseline).arg(&library).output().expect("it runs");
    let said = String::from_utf8_lossy(&compared.stdout).into_owned();
    assert!(compared.status.success(), "what programs were built against has changed:\n{said}");
}

/// Every struct of the header with its fields, by name.
fn structs(header: &str) -> Vec<(&str, Vec<&str>)> {
    let bodies = header.split("typedef struct ").skip(1).filter_map(|rest| rest.split_once(" {\n"));
    bodies
        .filter(|(name, _)| !name.contains(';'))
        .map(|(name, rest)| {
            let body = rest.split("\n}").next().expect("its end");
            let fields = body.lines().filter_map(|line| line.strip_suffix(';')?.rsplit([' ', '*']).next());
            (name, fields.map(|field| field.split('[').next().expect("a name")).collect())
        })
        .collect()
}

#[test]
fn the_python_package_takes_structs_and_numbers_for_what_they_are() {
    let test = "the_python_package_takes_structs_and_numbers_for_what_they_are";
    if !has(test, &["gcc", "python3"]) {
        return;
    }
    let header = std::fs::read_to_string(here("include/oyez.h")).expect("the header");
    let mut source = "#include <oyez.h>\n#include <stdio.h>\nint main(void) {\n".to_owned();
    for (name, fields) in structs(&header) {
        for field in fields {
            let place = format!("offsetof({name}, {field}), sizeof((({name} *)0)->{field})");
            writeln!(source, "printf(\"{name} {field} %zu %zu\\n\", {place});").expect("text");
        }
        writeln!(source, "printf(\"{name} sizeof 0 %zu\\n\", sizeof({name}));").expect("text");
    }
    for (name, _) in header.lines().filter_map(|line| line.strip_prefix("#define ")?.split_once(' ')) {
        writeln!(source, "printf(\"{name} %d\\n\", {name});").expect("text");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (file, program) = (folder.path().join("layout.c"), folder.path().join("layout"));
    std::fs::write(&file, source + "return 0;\n}\n").expect("written");
    compile(&file, &program, &[]);
    let told = done(&mut Command::new(program));
    // Codes are asked for, not copied; there are no handlers in Python.
    let elsewhere = ["OYEZ_ERR_", "OYEZ_REFUSED_", "OYEZ_CONTINUE", "OYEZ_BREAK", "OYEZ_ABORT"];
    let is_elsewhere =
        |line: &&str| elsewhere.iter().any(|name| line.starts_with(name)) && !line.contains("BACK_PRESS");
    let python = done(&mut python(&here("tests/users/layout.py")));
    let in_c: BTreeSet<&str> = told.lines().filter(|line| !is_elsewhere(line)).collect();
    assert_eq!(python.lines().collect::<BTreeSet<_>>(), in_c);
}
