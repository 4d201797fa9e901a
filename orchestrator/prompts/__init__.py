"""Prompts: Jinja2, in a sandbox, makes SSML; SSML becomes a playlist of recorded sounds."""

from orchestrator.prompts.errors import LanguageInvalid as LanguageInvalid
from orchestrator.prompts.errors import LibraryError as LibraryError
from orchestrator.prompts.errors import PromptError as PromptError
from orchestrator.prompts.errors import PromptTooLong as PromptTooLong
from orchestrator.prompts.errors import SoundMissing as SoundMissing
from orchestrator.prompts.errors import SsmlInvalid as SsmlInvalid
from orchestrator.prompts.errors import TemplateFailed as TemplateFailed
from orchestrator.prompts.errors import TemplateNotFound as TemplateNotFound
from orchestrator.prompts.errors import VariablesInvalid as VariablesInvalid
from orchestrator.prompts.language import Language as Language
from orchestrator.prompts.language import Sound as Sound
from orchestrator.prompts.library import Library as Library
from orchestrator.prompts.library import load_library as load_library
from orchestrator.prompts.library import packaged_root as packaged_root
from orchestrator.prompts.playlist import Item as Item
from orchestrator.prompts.playlist import Playlist as Playlist
from orchestrator.prompts.playlist import Prepared as Prepared
from orchestrator.prompts.playlist import Row as Row
from orchestrator.prompts.playlist import describe as describe
from orchestrator.prompts.playlist import length as length
from orchestrator.prompts.prepare import TemplateFault as TemplateFault
from orchestrator.prompts.prepare import check_templates as check_templates
from orchestrator.prompts.prepare import find_template as find_template
from orchestrator.prompts.prepare import prepare as prepare
from orchestrator.prompts.sound import write_wav as write_wav
