"""The whole system under load while its parts are killed, and afterwards every book compared with every other.

`python -m deploy.soak --minutes 3 --seed 1` (`make soak`). What happens is planned by the seed alone (`plan`),
done by apps and payers of its own (`acting`, `apps`, `desk`) to programs and servers of its own (`house`), and
judged from what each side wrote down (`books`, `checker`).
"""
