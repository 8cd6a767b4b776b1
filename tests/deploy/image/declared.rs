//! What `deploy/Dockerfile` declares of the run image.

use std::fs;

const DOCKERFILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/Dockerfile");

/// How a container of the run image starts.
pub(super) struct Declared {
    pub(super) program: String,
    /// The arguments of a container that is given none.
    pub(super) arguments: Vec<String>,
    pub(super) user: u32,
    pub(super) working_dir: String,
}

impl Declared {
    /// Takes it from the stages that the last one is made of.
    pub(super) fn read() -> Self {
        let instructions = instructions();
        let stages = stages_below("run", &instructions);
        let said = |word: &str| {
            let mut found = instructions.iter().filter(|one| stages.contains(&one.stage) && one.word == word).map(|one| &one.rest);
            found.next_back().unwrap_or_else(|| panic!("the stages {stages:?} have no {word}")).as_str()
        };
        let list = |word| serde_json::from_str::<Vec<String>>(said(word)).unwrap_or_else(|error| panic!("{word} is no exec form: {error}"));
        let [program] = <[String; 1]>::try_from(list("ENTRYPOINT")).unwrap();
        let (user, group) = said("USER").split_once(':').unwrap();
        assert_eq!(user, group);
        Self { program, arguments: list("CMD"), user: user.parse().unwrap(), working_dir: said("WORKDIR").to_owned() }
    }
}

struct Instruction {
    stage: String,
    word: String,
    rest: String,
}

/// Every instruction, on one line, with the stage that it belongs to.
fn instructions() -> Vec<Instruction> {
    let text = fs::read_to_string(DOCKERFILE).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let mut stage = String::new();
    let whole = lines.join("\n").replace("\\\n", " ");
    let lines = whole.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (word, rest) = line.split_once(' ').unwrap();
            if word == "FROM" {
                rest.split_once(" AS ").unwrap_or_else(|| panic!("a stage without a name: {line}")).1.clone_into(&mut stage);
            }
            Instruction { stage: stage.clone(), word: word.to_owned(), rest: rest.to_owned() }
        })
        .collect()
}

/// The stage, and those that it is made from, the lowest first.
fn stages_below(stage: &str, instructions: &[Instruction]) -> Vec<String> {
    let from = instructions.iter().find(|one| one.word == "FROM" && one.stage == stage);
    let Some(from) = from else { return Vec::new() };
    let mut stages = stages_below(from.rest.split(' ').next().unwrap(), instructions);
    stages.push(stage.to_owned());
    stages
}

#[test]
fn the_run_image_is_what_the_script_makes_and_nothing_below_it() {
    let instructions = instructions();
    let last = instructions.iter().rfind(|one| one.word == "FROM").unwrap();
    assert_eq!(last.stage, "run", "a build without --target makes the last stage");
    let stages = stages_below("run", &instructions);
    let lowest = instructions.iter().find(|one| one.word == "FROM" && one.stage == stages[0]).unwrap();
    assert!(lowest.rest.starts_with("scratch AS"), "{}", lowest.rest);

    let filled: Vec<_> =
        instructions.iter().filter(|one| stages.contains(&one.stage) && ["COPY", "ADD", "RUN"].contains(&one.word.as_str())).collect();
    let [copy] = filled[..] else { panic!("one COPY fills the image") };
    assert_eq!(copy.rest, "--from=root-run /root-fs/ /");
    let made = instructions.iter().find(|one| one.word == "RUN" && one.stage == "root-run").unwrap();
    assert!(made.rest.contains("bash deploy/rootfs.sh /root-fs /built/headwater"), "{}", made.rest);
}

#[test]
fn the_run_image_runs_the_service_as_a_numbered_user() {
    let declared = Declared::read();
    assert_eq!((declared.program.as_str(), declared.arguments.as_slice()), ("/usr/local/bin/headwater", ["run".to_owned()].as_slice()));
    assert_eq!(declared.user, 65532);
    assert_eq!(declared.working_dir, "/etc/headwater");
}

#[test]
fn builder_and_packages_are_of_one_release() {
    let images: Vec<_> =
        instructions().into_iter().filter(|one| one.word == "FROM" && one.rest.contains(':')).map(|one| one.rest).collect();
    assert_eq!(images.len(), 2, "{images:?}");
    assert!(images.iter().all(|image| image.contains("trixie")), "their glibc differs: {images:?}");
}
