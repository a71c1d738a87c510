"""Everything is said once, in settings.ini; this file only hands it to setuptools."""
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

here = Path(__file__).parent
parser = ConfigParser(delimiters=["="], interpolation=None)
parser.read(here / "settings.ini", encoding="utf-8")
cfg = parser["DEFAULT"]
extras = {key.removesuffix("_requirements"): cfg[key].split() for key in cfg if key.endswith("_requirements")}
extras["all"] = sorted({need for name, needs in extras.items() if name != "dev" for need in needs})

setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=(here / "README.md").read_text("utf-8") if (here / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    author=cfg["author"],
    url=cfg["git_url"],
    # flows and dashboards stand at the top of the workspace, where people look for them, and ship inside the package
    packages=["drift_lab", "drift_lab.flows", "drift_lab.dashboards"],
    package_dir={"drift_lab": "drift_lab", "drift_lab.flows": "flows", "drift_lab.dashboards": "dashboards"},
    package_data={
        "drift_lab.flows": ["notebooks/*.ipynb"],
        "drift_lab.dashboards": ["*.ipynb", "voila/templates/drift_lab/*", "voila/templates/drift_lab/static/*"],
    },
    install_requires=cfg["requirements"].split(),
    extras_require=extras,
    python_requires=">=" + cfg["min_python"] + ",<3.14",
    zip_safe=False,
    entry_points={
        "console_scripts": ["drift-lab=drift_lab.cli:main"],
        "nbdev": [f"{cfg['lib_name']}={cfg['lib_name']}._modidx:d"],
    },
)
