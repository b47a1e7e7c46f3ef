"""Measure how much the installation stores."""

from services.scheduler.growth import repository
from services.scheduler.growth.sizes import PartSize, disk_size, folder_sizes
from shared.database import PLATFORM, Database
from shared.settings import Settings


def measure_growth(database: Database, settings: Settings) -> list[PartSize]:
    """Store the sizes of the disk, the database and the folders of the data folder."""
    folders = [disk_size(settings.data_dir), *folder_sizes(settings.data_dir)]
    with database.transaction(PLATFORM) as session:
        sizes = [*folders, PartSize("database", repository.database_size(session))]
        repository.insert_samples(session, sizes)
    return sizes
