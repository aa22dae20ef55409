"""Sources of priors: `load_prior`, cards, downloads, and one file per published layout."""

from .cards import Card as Card
from .cards import File as File
from .cards import all_cards as all_cards
from .cards import find_card as find_card
from .cards import save_card as save_card
from .cards import verify as verify
from .download import FetchError as FetchError
from .fetch import fetch_model as fetch_model
from .fetch import fetch_prior as fetch_prior
from .hub import is_id as is_id
from .layouts import differences as differences
from .load import FOLDERS as FOLDERS
from .load import LOADERS as LOADERS
from .load import embedded_folder as embedded_folder
from .load import identity as identity
from .load import is_trained_here as is_trained_here
from .load import load_prior as load_prior
from .load import model_card as model_card
from .load import presets_of as presets_of
from .load import scheme_of as scheme_of
from .load import weights_sha256 as weights_sha256
from .precision import fastest as fastest
from .precision import run_in as run_in
