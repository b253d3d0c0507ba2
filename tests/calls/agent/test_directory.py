"""The agents of a folder, and what happens when its files change."""

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.calls.agent.directory import AgentDirectory
from app.calls.agent.kept_files import KeptFiles
from app.calls.agent.profile import AgentProfile
from app.errors import SettingsError
from app.settings import Settings

CLINIC = "prompt: Clinic.\nlanguage: en\nnumbers: ['+74951234567']\ngreeting: {en: Clinic!}\n"
SHOP = (
    "prompt: Shop.\nnumbers: ['+7800*']\nmodels: {llm: gpt-6-sol}\nvoices: {ru: voice-of-the-shop}\nrecording: false\n"
)

DEEP = f"prompt: '{{{{ {'(' * 3000}1{')' * 3000} }}}}'\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder ``agents`` of the working directory, with two agents."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "agents"
    folder.mkdir()
    write(folder / "clinic.yaml", CLINIC)
    write(folder / "shop.yml", SHOP)
    (folder / "notes.txt").write_text("not an agent")
    return folder


def write(path: Path, text: str) -> None:
    """Replace the file as editors do, so that its change is seen however soon it comes."""
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def a_directory(**settings: object) -> AgentDirectory:
    return AgentDirectory(Settings(**settings))  # type: ignore[arg-type]  # checked by pydantic


def names(directory: AgentDirectory) -> list[str]:
    return sorted(directory.current.by_name)


def test_the_called_number_or_the_request_chooses(folder: Path) -> None:
    now = a_directory().current

    assert now.find(None, "+74951234567").name == "clinic"
    assert now.find(None, "+78001112233").name == "shop"
    assert now.find("shop", "+74951234567").name == "shop"
    assert now.find(None, "+49301234567") is now.default
    assert now.find("gone", "+49301234567") is now.default
    assert now.default.name == "standard"


def test_a_file_wins_over_the_settings(folder: Path) -> None:
    directory = a_directory(greeting="Hi", language="ru", llm_model="gpt-6-luna", tts_voice_ru="v", recording=True)
    clinic, shop = directory.current.by_name["clinic"], directory.current.by_name["shop"]

    assert (clinic.language, clinic.policy.lines["en"].greeting, clinic.llm.model) == ("en", "Clinic!", "gpt-6-luna")
    assert (shop.llm.model, shop.voices["ru"], shop.is_recorded) == ("gpt-6-sol", "voice-of-the-shop", False)
    assert directory.current.default.policy.lines["ru"].greeting == "Hi"


def test_default_yaml_is_the_default(folder: Path) -> None:
    write(folder / "default.yaml", "prompt: Anybody.\n")

    now = a_directory(agent_prompt_file=folder / "notes.txt").current

    assert now.default.name == "default"
    assert sorted(now.by_name) == ["clinic", "default", "shop"]


def test_without_a_folder_the_settings_are_the_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert names(a_directory()) == ["standard"]


def test_every_wrong_file_stops_the_start(folder: Path) -> None:
    write(folder / "bank.yaml", "prompt: Bank.\nnumbers: ['7 495 1234567']\nlanguage: xx\n")
    write(folder / "cafe.yaml", "prompt: '{{ nobody }}'\n")
    write(folder / "dentist.yaml", "prompt: Dentist.\nnumbers: ['+78120000000',\n  8 (495) 123-45-67]\n")
    write(folder / "other.yaml", "name: another\nprompt: x\n")

    with pytest.raises(SettingsError) as caught:
        a_directory()

    problems = "\n".join(caught.value.problems)
    assert "agents/bank.yaml line 3: language" in problems
    assert "agents/cafe.yaml line 1: prompt: nobody is not known here" in problems
    assert (
        "agents/dentist.yaml line 3: numbers[1]: 8 (495) 123-45-67 is a number of the agent clinic, too "
        "(agents/clinic.yaml line 3: numbers[0])"
    ) in problems
    assert "agents/other.yaml line 1: name:" in problems


def test_a_folder_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="AGENTS_DIR"):
        a_directory(agents_dir=tmp_path / "nowhere")


async def test_a_changed_file_is_read_and_others_stay(folder: Path) -> None:
    directory = a_directory()
    shop, clinic = directory.current.by_name["shop"], directory.current.by_name["clinic"]
    write(folder / "clinic.yaml", CLINIC.replace("Clinic!", "New clinic!"))
    write(folder / "bank.yaml", "prompt: Bank.\n")

    await directory.reload()

    assert names(directory) == ["bank", "clinic", "shop", "standard"]
    assert directory.current.by_name["shop"] is shop
    assert directory.current.by_name["clinic"].policy.lines["en"].greeting == "New clinic!"
    assert directory.current.by_name["clinic"].sha256 != clinic.sha256


async def test_a_removed_file_takes_its_agent_away(folder: Path) -> None:
    directory = a_directory()
    (folder / "shop.yml").unlink()

    await directory.reload()

    assert names(directory) == ["clinic", "standard"]
    assert directory.current.find(None, "+78001112233") is directory.current.default


@pytest.mark.parametrize(
    "wrong",
    ["prompt: [", "prompt: '{{ nobody }}'", "language: en", CLINIC.replace("+74951234567", "+7800*"), "\x00", DEEP],
)
async def test_a_wrong_file_is_refused_once_and_the_good_one_stays(folder: Path, wrong: str) -> None:
    directory = a_directory()
    clinic = directory.current.by_name["clinic"]
    write(folder / "clinic.yaml", wrong)

    with capture_logs() as log:
        for _ in range(3):
            await directory.reload()

    assert directory.current.by_name["clinic"] is clinic
    assert directory.current.find(None, "+74951234567") is clinic
    assert directory.current.problems
    assert [entry["event"] for entry in log] == ["agent.not_read"] * len(directory.current.problems) + ["agents.read"]

    write(folder / "clinic.yaml", CLINIC.replace("Clinic!", "Mended!"))
    await directory.reload()

    assert directory.current.problems == ()
    assert directory.current.by_name["clinic"].policy.lines["en"].greeting == "Mended!"


async def test_two_agents_swap_their_numbers_one_file_after_the_other(folder: Path) -> None:
    directory = a_directory()
    write(folder / "clinic.yaml", CLINIC.replace("+74951234567", "+7800*"))
    await directory.reload()
    refused = directory.current
    write(folder / "shop.yml", SHOP.replace("+7800*", "+74951234567"))
    await directory.reload()

    assert refused.find(None, "+78001112233").name == "shop"
    assert directory.current.problems == ()
    assert directory.current.find(None, "+74951234567").name == "shop"
    assert directory.current.find(None, "+78001112233").name == "clinic"


async def test_who_had_a_number_keeps_it_when_its_new_file_is_refused(folder: Path) -> None:
    directory = a_directory()
    write(folder / "clinic.yaml", CLINIC.replace("+74951234567", "+7800*"))
    write(folder / "a_bank.yaml", "prompt: Bank.\nnumbers: ['+74951234567']\n")

    await directory.reload()

    assert directory.current.find(None, "+74951234567").name == "clinic"
    assert names(directory) == ["clinic", "shop", "standard"]
    assert directory.current.problems == (
        "agents/a_bank.yaml line 2: numbers[0]: +74951234567 is a number of the agent clinic, too "
        "(agents/clinic.yaml line 3: numbers[0])",
        "agents/clinic.yaml line 3: numbers[0]: +7800* is a number of the agent shop, too "
        "(agents/shop.yml line 2: numbers[0])",
    )


async def test_a_second_file_of_one_name_is_refused_until_the_first_is_gone(folder: Path) -> None:
    directory = a_directory()
    write(folder / "clinic.yml", "prompt: The other clinic.\n")
    await directory.reload()

    problem = "agents/clinic.yml: clinic.yaml is a file of the agent clinic, too; remove one"
    assert directory.current.problems == (problem,)
    assert directory.current.by_name["clinic"].prompt == "Clinic."
    with pytest.raises(SettingsError) as caught:
        a_directory()
    assert caught.value.problems == [problem]

    (folder / "clinic.yaml").unlink()
    await directory.reload()

    assert directory.current.problems == ()
    assert directory.current.by_name["clinic"].prompt == "The other clinic."


async def test_a_folder_that_appears_later_is_read(folder: Path) -> None:
    moved = folder.rename(folder.with_name("moved"))
    directory = a_directory()
    moved.rename(folder)

    await directory.reload()

    assert names(directory) == ["clinic", "shop", "standard"]


def test_hidden_files_and_folders_are_no_agents(folder: Path) -> None:
    (folder / "._clinic.yaml").write_bytes(b"\x00\xff")
    (folder / ".#clinic.yaml").symlink_to("nobody@nowhere")
    (folder / "gone.yaml").symlink_to("nowhere")
    (folder / "more.yaml").mkdir()
    (folder / "bank.yaml").symlink_to("clinic.yaml.d")
    write(folder / "clinic.yaml.d", "prompt: Bank.\n")

    assert names(a_directory()) == ["bank", "clinic", "shop", "standard"]


async def test_a_folder_that_disappears_keeps_every_agent(folder: Path) -> None:
    directory = a_directory()
    folder.rename(folder.with_name("moved"))

    with pytest.raises(SettingsError):  # the loop of the service logs it, and tries again
        await directory.reload()

    assert names(directory) == ["clinic", "shop", "standard"]


async def test_an_agent_that_no_vendor_can_carry_is_refused(folder: Path) -> None:
    def check(agent: AgentProfile) -> None:
        if agent.llm.model == "toy":
            raise SettingsError(["no vendor offers toy"])

    directory = a_directory()
    directory.approve(check)
    clinic = directory.current.by_name["clinic"]
    write(folder / "clinic.yaml", CLINIC + "models: {llm: toy}\n")
    write(folder / "new.yaml", "prompt: x\nmodels: {llm: toy}\n")

    await directory.reload()

    assert directory.current.by_name["clinic"] is clinic
    assert "new" not in directory.current.by_name
    assert directory.current.problems == (
        "agent clinic: no vendor offers toy",
        "agent new: no vendor offers toy",
    )
    with pytest.raises(SettingsError, match="no vendor offers toy"):
        a_directory().approve(check)


def write_unseen(path: Path, text: str) -> None:
    """Write as many bytes as there are, and take the time of the change back: no look at the file can see it."""
    state = path.stat()
    assert len(text.encode()) == state.st_size
    path.write_text(text, encoding="utf-8")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


async def test_a_signal_has_every_file_read_at_once(folder: Path) -> None:
    directory = AgentDirectory(Settings(), look_seconds=3600)
    write_unseen(folder / "clinic.yaml", CLINIC.replace("prompt: Clinic.", "prompt: Doctor."))
    await directory.reload()
    assert directory.current.by_name["clinic"].prompt == "Clinic."

    directory.read_anew()
    await directory.watch()

    assert directory.current.by_name["clinic"].prompt == "Doctor."


async def test_a_signal_has_the_environment_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "old")
    tool = (
        "tools:\n  - {name: order, description: Orders., method: POST, url: 'https://shop.example.org/', "
        "headers: {Authorization: '${SHOP_TOKEN}'}}\n"
    )
    write(folder / "shop.yml", SHOP + tool)
    directory = a_directory()
    monkeypatch.setenv("SHOP_TOKEN", "new")

    directory.read_anew()
    await directory.watch()

    endpoint = directory.current.by_name["shop"].tools[0].endpoint
    assert endpoint.headers["Authorization"].get_secret_value() == "new"


async def test_without_a_signal_the_files_are_read_after_a_while(folder: Path) -> None:
    directory = AgentDirectory(Settings(), look_seconds=0.01)
    write(folder / "bank.yaml", "prompt: Bank.\n")

    await directory.watch()

    assert "bank" in directory.current.by_name


# --- what an agent knows ----------------------------------------------------------------------------------------------


async def test_a_changed_file_of_knowledge_is_a_new_version_of_its_agent_alone(folder: Path) -> None:
    write(folder / "prices.md", "A visit costs one dollar.")
    write(folder / "clinic.yaml", f"{CLINIC}knowledge: [prices.md]\n")
    directory = a_directory()
    before = directory.current.by_name

    await directory.reload()
    assert directory.current.by_name is before
    write(folder / "prices.md", "A visit costs two dollars.")
    await directory.reload()

    after = directory.current.by_name
    assert after["clinic"].sha256 != before["clinic"].sha256
    assert after["clinic"].file_sha256 == before["clinic"].file_sha256
    assert after["shop"] is before["shop"]


async def test_an_agent_stays_as_it_was_while_a_file_of_its_knowledge_is_gone(folder: Path) -> None:
    write(folder / "prices.md", "A visit costs one dollar.")
    write(folder / "clinic.yaml", f"{CLINIC}knowledge: [prices.md]\n")
    directory = a_directory()
    version = directory.current.by_name["clinic"].sha256

    (folder / "prices.md").unlink()
    with capture_logs() as log:
        await directory.reload()

    [problem] = directory.current.problems
    assert "clinic.yaml line 5: knowledge[0]: prices.md is not there" in problem
    assert directory.current.by_name["clinic"].sha256 == version
    assert [entry["event"] for entry in log] == ["agent.not_read", "agents.read"]

    write(folder / "prices.md", "A visit costs two dollars.")
    await directory.reload()

    assert directory.current.problems == ()
    assert directory.current.by_name["clinic"].sha256 != version


async def test_a_file_that_was_never_there_is_noticed_when_it_comes(folder: Path) -> None:
    directory = a_directory()
    write(folder / "clinic.yaml", f"{CLINIC}knowledge: [prices.md]\n")
    await directory.reload()
    assert directory.current.problems

    write(folder / "prices.md", "A visit costs one dollar.")
    await directory.reload()

    assert directory.current.problems == ()
    assert directory.current.by_name["clinic"].knowledge is not None


async def test_a_worker_comes_back_with_what_its_agent_last_knew(folder: Path, tmp_path: Path) -> None:
    write(folder / "prices.md", "A visit costs one dollar.")
    write(folder / "clinic.yaml", f"{CLINIC}knowledge: [prices.md]\n")
    before = AgentDirectory(Settings(), kept=KeptFiles(tmp_path / "kept"))
    before.approve(lambda _agent: None)
    (folder / "prices.md").unlink()

    after = comes_back(tmp_path / "kept").current

    assert after.problems
    assert after.by_name["clinic"].sha256 == before.current.by_name["clinic"].sha256


# --- a worker that has to start again ---------------------------------------------------------------------------------


def comes_back(kept: Path, **settings: object) -> AgentDirectory:
    made = Settings(**settings)  # type: ignore[arg-type]  # checked by pydantic
    return AgentDirectory(made, kept=KeptFiles(kept), is_checked=True)


@pytest.mark.parametrize("wrong", ["prompt: [", "prompt: '{{ nobody }}'", "prompt: x\nmodels: {llm: toy}\n"])
async def test_a_worker_comes_back_with_the_last_good_agent(folder: Path, tmp_path: Path, wrong: str) -> None:
    def check(agent: AgentProfile) -> None:
        if agent.llm.model == "toy":
            raise SettingsError(["no vendor offers toy"])

    before = AgentDirectory(Settings(), kept=KeptFiles(tmp_path / "kept"))
    before.approve(check)
    write(folder / "clinic.yaml", CLINIC.replace("Clinic!", "Second!"))
    await before.reload()
    write(folder / "clinic.yaml", wrong)
    await before.reload()

    with capture_logs() as log:
        after = comes_back(tmp_path / "kept")
        after.approve(check)

    assert after.current.find(None, "+74951234567").policy.lines["en"].greeting == "Second!"
    assert after.current.problems == before.current.problems != ()
    assert [entry["event"] for entry in log] == ["agent.not_read"] * len(after.current.problems)

    write(folder / "clinic.yaml", CLINIC.replace("Clinic!", "Third!"))
    await after.reload()

    assert after.current.problems == ()
    assert after.current.find(None, "+74951234567").policy.lines["en"].greeting == "Third!"


def test_a_wrong_file_without_a_copy_is_left_out_when_a_worker_comes_back(folder: Path, tmp_path: Path) -> None:
    write(folder / "clinic.yaml", "prompt: [")

    after = comes_back(tmp_path / "kept")

    assert names(after) == ["shop", "standard"]
    assert after.current.problems


@pytest.mark.parametrize("is_kept", [True, False])
def test_the_default_agent_is_never_replaced_by_another(folder: Path, tmp_path: Path, is_kept: bool) -> None:
    write(folder / "default.yaml", "prompt: Anybody.\n")
    if is_kept:
        AgentDirectory(Settings(), kept=KeptFiles(tmp_path / "kept")).approve(lambda _agent: None)
    write(folder / "default.yaml", "prompt: [")

    if is_kept:
        assert comes_back(tmp_path / "kept").current.default.prompt == "Anybody."
    else:
        with pytest.raises(SettingsError, match=r"default\.yaml"):
            comes_back(tmp_path / "kept")


def test_a_worker_comes_back_with_the_last_good_agent_of_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "flowers.yaml"
    path.write_text("prompt: Flowers.\n")
    AgentDirectory(Settings(agent_prompt_file=path), kept=KeptFiles(tmp_path / "kept")).approve(lambda _agent: None)
    path.write_text("prompt: '{{ nobody }}'\n")

    after = comes_back(tmp_path / "kept", agent_prompt_file=path)

    assert (after.current.default.name, after.current.default.prompt) == ("flowers", "Flowers.")
    assert any("nobody is not known here" in problem for problem in after.current.problems)
    with pytest.raises(SettingsError):
        AgentDirectory(Settings(agent_prompt_file=path), kept=KeptFiles(tmp_path / "kept"))
