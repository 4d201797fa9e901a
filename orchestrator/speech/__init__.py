"""Speech engines: free text to a sound that the PBX plays. Rendered once, kept by content; never a code.

settings   `[speech]` of the configuration
engines    what each engine needs, which languages it speaks well enough, and its command line
child      one run of an engine: text on standard input, a WAV file back, within bounds
cache      the rendered sounds in a folder of the PBX's
speaking   chooses the engine, looks into the cache, renders
"""

from orchestrator.speech.speaking import SpeechEngine, SpokenBy, open_engine

__all__ = ["SpeechEngine", "SpokenBy", "open_engine"]
