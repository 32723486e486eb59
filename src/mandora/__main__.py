"""``python -m mandora``, and ``torchrun -m mandora train …`` for several processes."""

from mandora.cli.main import main

if __name__ == "__main__":
    main()
